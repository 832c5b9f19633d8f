{%- case trigger %}
{%- when "direct" %}
{%- assign calls = "invocations" %}
{%- assign fail = "invocations fail" %}
{%- assign all_metric = "Invocations" %}
{%- assign failed_metric = "Errors" %}
{%- when "function-url" %}
{%- assign calls = "requests" %}
{%- assign fail = "requests end with a status of 5xx" %}
{%- assign all_metric = "UrlRequestCount" %}
{%- assign failed_metric = "Url5xxCount" %}
{%- endcase -%}
locals {
  alarm_actions = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}
{% case trigger %}{% when "direct" %}
# A rate, since every invalid request is an error of the function.{% when "function-url" %}{% endcase %}
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  alarm_description   = "${local.name}: too many {{fail}}. The log has the reasons."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_rate_percent
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "rate"
    label       = "Failed {{calls}} in %"
    expression  = "IF(total > 0, 100 * errors / total, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "{{failed_metric}}", total = "{{all_metric}}" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = local.name }
        stat        = "Sum"
        period      = 60
      }
    }
  }
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
            "title": "{{calls | capitalize}}", "region": "${local.region}", "period": 60, "view": "timeSeries", "stat": "Sum",
            "metrics": [
              ["AWS/Lambda", "{{all_metric}}", "FunctionName", "${local.name}"],
{%- case trigger %}
{%- when "direct" %}
              [".", "Errors", ".", "."],
{%- when "function-url" %}
              [".", "Url4xxCount", ".", "."],
              [".", "Url5xxCount", ".", "."],
{%- endcase %}
              [".", "Throttles", ".", "."]
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
