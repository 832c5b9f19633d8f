{%- case trigger %}
{%- when "direct" %}
{%- assign own = "ClientErrors" %}
{%- assign bad = "errors - FILL(own, 0)" %}
{%- when "function-url" or "http-api" %}
{%- assign own = "ServerErrors" %}
{%- assign bad = "errors + FILL(own, 0)" %}
{%- endcase -%}
locals {
  alarm_actions = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

# A rate, of what is the server's fault. {% case trigger %}{% when "direct" %}Lambda counts refused requests as errors, too, and the function
# says how many.{% when "function-url" or "http-api" %}An error of the function is a response, which Lambda counts
# as a success.{% endcase %}
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  alarm_description   = "${local.name}: too many invocations fail. The log has the reasons."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_rate_percent
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "rate"
    label       = "Failed invocations in %"
    expression  = "IF(total > 0, 100 * ({{bad}}) / total, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", own = "{{own}}", total = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.key == "own" ? local.name : "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = local.name }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

# For a gradual deployment: the new version alone, of which the alarm above would see little. Of fewer than
# ten invocations in a minute one failure says nothing. Terraform does not take the version back.
resource "aws_cloudwatch_metric_alarm" "new_version" {
  count = local.gradual ? 1 : 0

  alarm_name          = "${local.name}-new-version"
  alarm_description   = "${local.name}: the new version fails too often. Take it back."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_rate_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "rate"
    label       = "Failed invocations in %"
    expression  = "IF(total >= 10, 100 * ({{bad}}) / total, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", own = "{{own}}", total = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.key == "own" ? local.name : "AWS/Lambda"
        metric_name = metric_query.value
        dimensions = merge({ FunctionName = local.name }, metric_query.key == "own" ? tomap({
          FunctionVersion = aws_lambda_function.function.version
          }) : tomap({
          Resource        = "${local.name}:${aws_lambda_alias.live.name}"
          ExecutedVersion = aws_lambda_function.function.version
        }))
        stat   = "Sum"
        period = 60
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "duration" {
  count = var.duration_p99_ms == 0 ? 0 : 1

  alarm_name          = "${local.name}-duration"
  alarm_description   = "${local.name}: the slowest of a hundred invocations is too slow."
  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = { FunctionName = local.name }
  extended_statistic  = "p99"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.duration_p99_ms
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  count = var.throttles_per_minute == -1 ? 0 : 1

  alarm_name          = "${local.name}-throttles"
  alarm_description   = "${local.name}: too many invocations are throttled. The function's concurrency or the account's is used up."
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = local.name }
  statistic           = "Sum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.throttles_per_minute
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "load_errors" {
  alarm_name        = "${local.name}-load-errors"
  alarm_description = "${local.name}: too many loads of the caches fail. The log has the reasons."
  # Of all caches together: none is named, and a new one is in it.
  namespace           = local.name
  metric_name         = "CacheLoadErrors"
  dimensions          = { FunctionName = local.name }
  statistic           = "Sum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.load_errors_per_minute
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_dashboard" "caches" {
  dashboard_name = "${local.name}-${local.region}"
  dashboard_body = <<-JSON
    {
      "widgets": [
        {
          "type": "metric", "x": 0, "y": 0, "width": 12, "height": 6,
          "properties": {
            "title": "Hit ratio of the caches in %", "region": "${local.region}", "period": 60, "view": "timeSeries",
            "metrics": [
              [{"id": "all", "label": "all", "expression": "100 * SUM(hits) / (SUM(hits) + SUM(misses))"}],
              [{"id": "hits", "visible": false, "expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheHits\"', 'Sum')"}],
              [{"id": "misses", "visible": false, "expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheMisses\"', 'Sum')"}]
            ],
            "yAxis": {"left": {"min": 0, "max": 100}}
          }
        },
        {
          "type": "metric", "x": 12, "y": 0, "width": 12, "height": 6,
          "properties": {
            "title": "Duration in ms", "region": "${local.region}", "period": 60, "view": "timeSeries",
            "metrics": [
              ["AWS/Lambda", "Duration", "FunctionName", "${local.name}", {"stat": "p50", "label": "p50"}],
              ["...", {"stat": "p90", "label": "p90"}],
              ["...", {"stat": "p99", "label": "p99"}]
            ],
            "yAxis": {"left": {"min": 0}}
          }
        },
        {
          "type": "metric", "x": 0, "y": 6, "width": 12, "height": 6,
          "properties": {
            "title": "Loads from DynamoDB", "region": "${local.region}", "period": 60, "view": "timeSeries",
            "metrics": [
              [{"expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheLoads\"', 'Sum')", "label": "loads, $${PROP('Dim.Cache')}"}],
              [{"expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheLoadErrors\"', 'Sum')", "label": "failed, $${PROP('Dim.Cache')}"}]
            ],
            "yAxis": {"left": {"min": 0}}
          }
        },
        {
          "type": "metric", "x": 12, "y": 6, "width": 12, "height": 6,
          "properties": {
            "title": "Served stale, and evicted", "region": "${local.region}", "period": 60, "view": "timeSeries",
            "metrics": [
              [{"expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheStaleServed\"', 'Sum')", "label": "stale, $${PROP('Dim.Cache')}"}],
              [{"expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheEvictions\"', 'Sum')", "label": "evicted, $${PROP('Dim.Cache')}"}]
            ],
            "yAxis": {"left": {"min": 0}}
          }
        },
        {
          "type": "metric", "x": 0, "y": 12, "width": 12, "height": 6,
          "properties": {
            "title": "Invocations", "region": "${local.region}", "period": 60, "view": "timeSeries", "stat": "Sum",
            "metrics": [
              ["AWS/Lambda", "Invocations", "FunctionName", "${local.name}"],
              [".", "Errors", ".", "."],
              [".", "Throttles", ".", "."],
              ["${local.name}", "ServerErrors", "FunctionName", "${local.name}"],
              [".", "ClientErrors", ".", "."]
            ],
            "yAxis": {"left": {"min": 0}}
          }
        },
        {
          "type": "metric", "x": 12, "y": 12, "width": 12, "height": 6,
          "properties": {
            "title": "Bytes in the caches of an environment, at most", "region": "${local.region}", "period": 60, "view": "timeSeries",
            "metrics": [
              [{"expression": "SEARCH('{\"${local.name}\",Cache,FunctionName} MetricName=\"CacheBytes\"', 'Maximum')", "label": "$${PROP('Dim.Cache')}"}]
            ],
            "yAxis": {"left": {"min": 0}}
          }
        }
      ]
    }
  JSON
}
