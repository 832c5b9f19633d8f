# `terraform init -backend=false && terraform test`: plans against a provider that is not there.
mock_provider "aws" {
  mock_data "aws_region" {
    defaults = {
      name = "eu-central-1"
    }
  }

  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "123456789012"
    }
  }

  mock_data "aws_partition" {
    defaults = {
      partition  = "aws"
      dns_suffix = "amazonaws.com"
    }
  }

  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::123456789012:role/function"
    }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/function"
    }
  }
}

variables {
  # Any file: nothing is uploaded.
  package = "main.tf"
}

run "as_it_is_rendered" {
  command = apply

  assert {
    condition = aws_lambda_function.function.environment[0].variables == tomap({
      TABLE_NAME                   = "${local.name}-items"
      CACHE_ENABLED                = "true"
      CACHE_TTL_POLICY             = "{{ttl_policy}}"
      CACHE_TTL_SECONDS            = "{{ttl_seconds}}"
      CACHE_STALE_IF_ERROR_SECONDS = "0"
    })
    error_message = "The function must have its variables."
  }

  assert {
    condition     = aws_lambda_function.function.architectures == tolist(["{{arch}}"]) && aws_lambda_function.function.memory_size == {{memory_mb}}
    error_message = "The function must have the architecture and the memory that were chosen."
  }

  assert {
    condition     = aws_lambda_alias.live.function_version == aws_lambda_function.function.version
    error_message = "The alias must follow the version that is published."
  }

  assert {
    condition = length(setsubtract(
      flatten(jsondecode(aws_iam_role_policy.function.policy).Statement[*].Action),
      concat(
        [for action in ["GetItem", "BatchGetItem", "Query"] : "dynamodb:${action}"],
        ["logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"],
      ),
    )) == 0
    error_message = "The function may read its table, write its log and its traces, and nothing else."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[0].Resource == "arn:aws:dynamodb:eu-central-1:123456789012:table/${local.name}-items"
    error_message = "The function may read its own table only."
  }

  assert {
    condition     = aws_dynamodb_table.table[0].deletion_protection_enabled && aws_dynamodb_table.table[0].point_in_time_recovery[0].enabled
    error_message = "The table must be protected."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.errors.alarm_actions) == 0
    error_message = "Without a topic alarms send nothing."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.load_errors.namespace == local.name
      && aws_cloudwatch_metric_alarm.load_errors.dimensions == tomap({ FunctionName = local.name })
      && length(aws_cloudwatch_metric_alarm.load_errors.metric_query) == 0
    )
    error_message = "The alarm must watch the failed loads of all caches together, and name none."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.caches.dashboard_body).widgets) == 6
    error_message = "The dashboard must be JSON."
  }
{%- case trigger %}
{%- when "function-url" %}

  assert {
    condition     = aws_lambda_function_url.live.authorization_type == "AWS_IAM" && aws_lambda_function_url.live.qualifier == "live"
    error_message = "The URL must be the alias's, and take signed requests only."
  }
{%- when "direct" %}
{%- endcase %}
}

run "an_existing_table_with_a_key_of_its_own" {
  command = apply

  variables {
    existing_table_name    = "items"
    existing_table_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0b0e7ab7-8e1c-4d3f-a1f5-3cb39cf0bdb6"
  }

  assert {
    condition     = length(aws_dynamodb_table.table) == 0 && aws_lambda_function.function.environment[0].variables.TABLE_NAME == "items"
    error_message = "An existing table is used, and none is made."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[0].Resource == "arn:aws:dynamodb:eu-central-1:123456789012:table/items"
    error_message = "The function may read the existing table only."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[3].Condition.StringEquals["kms:ViaService"] == "dynamodb.eu-central-1.amazonaws.com"
    error_message = "The key may be used through DynamoDB only."
  }
}

run "every_variable_has_its_limits" {
  command = plan

  variables {
    memory_size            = 127
    ttl_policy             = "forever"
    ttl_seconds            = 86401
    stale_if_error_seconds = -1
    existing_table_name    = "a table"
    existing_table_key_arn = "alias/key"
    log_retention_days     = 31
    ephemeral_storage_mb   = 511
    reserved_concurrency   = -2
    alarm_topic_arn        = "topic"
    error_rate_percent     = 101
    load_errors_per_minute = -1
    name                   = "1st"
  }

  expect_failures = [
    var.memory_size,
    var.ttl_policy,
    var.ttl_seconds,
    var.stale_if_error_seconds,
    var.existing_table_name,
    var.existing_table_key_arn,
    var.log_retention_days,
    var.ephemeral_storage_mb,
    var.reserved_concurrency,
    var.alarm_topic_arn,
    var.error_rate_percent,
    var.load_errors_per_minute,
    var.name,
  ]
}

run "the_edges_are_allowed" {
  command = plan

  variables {
    memory_size            = 10240
    ttl_policy             = "immutable"
    ttl_seconds            = 0
    stale_if_error_seconds = 86400
    existing_table_name    = join("", [for _ in range(255) : "a"])
    log_retention_days     = 3653
    ephemeral_storage_mb   = 10240
    reserved_concurrency   = 0
    error_rate_percent     = 100
    load_errors_per_minute = 0
    cache_enabled          = false
    deletion_protection    = false
    point_in_time_recovery = false
    alarm_topic_arn        = "arn:aws:sns:eu-central-1:123456789012:alarms"
  }

  assert {
    condition     = aws_lambda_function.function.environment[0].variables.CACHE_ENABLED == "false"
    error_message = "The kill switch must reach the function."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.load_errors.threshold == 0
    error_message = "The alarm must have its threshold."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.load_errors.ok_actions == toset(["arn:aws:sns:eu-central-1:123456789012:alarms"])
    error_message = "Alarms and their ends are sent to the topic."
  }
}

run "without_a_package_there_is_no_deployment" {
  command = plan

  variables {
    package = "missing.zip"
  }

  expect_failures = [aws_lambda_function.function]
}
