# `terraform init && terraform test`: plans against a provider that is not there.
mock_provider "aws" {
  mock_data "aws_service_principal" {
    defaults = {
      name   = "lambda.amazonaws.com"
      region = "eu-central-1"
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

  mock_resource "aws_lambda_function" {
    defaults = {
      version = "7"
    }
  }

  mock_data "aws_subnet" {
    defaults = {
      vpc_id = "vpc-1"
    }
  }

  mock_resource "aws_elasticache_serverless_cache" {
    defaults = {
      arn      = "arn:aws:elasticache:eu-central-1:123456789012:serverlesscache:cache"
      endpoint = [{ address = "cache.example.com", port = 6379 }]
    }
  }

  mock_resource "aws_elasticache_user" {
    defaults = {
      arn = "arn:aws:elasticache:eu-central-1:123456789012:user:cache"
    }
  }
{%- case trigger %}
{%- when "http-api" %}

  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:api"
    }
  }
{%- when "direct" or "function-url" %}
{%- endcase %}
}

variables {
  name = "{{project-name}}"
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
      CACHE_MEMORY_PERCENT         = "25"
      METRICS_INTERVAL_SECONDS     = "60"
      CACHE_SHARED_ENABLED         = "false"
    })
    error_message = "The function must have its variables."
  }

  assert {
    condition     = aws_lambda_function.function.architectures == tolist(["{{arch}}"]) && aws_lambda_function.function.memory_size == {{memory_mb}}
    error_message = "The function must have the architecture and the memory that were chosen."
  }

  assert {
    condition     = aws_lambda_function.function.timeout == 5 && aws_lambda_function.function.logging_config[0].application_log_level == "INFO"
    error_message = "The function must have its timeout and its log level."
  }

  assert {
    condition     = aws_lambda_alias.live.function_version == "7" && length(aws_lambda_alias.live.routing_config) == 0
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
    condition     = jsondecode(aws_iam_role.function.assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com"
    error_message = "Lambda must be able to take the role."
  }

  assert {
    condition     = aws_iam_role.function.path == "/" && aws_iam_role.function.permissions_boundary == null
    error_message = "The role has no path and no boundary unless they are given."
  }

  assert {
    condition     = aws_dynamodb_table.table[0].deletion_protection_enabled && aws_dynamodb_table.table[0].point_in_time_recovery[0].enabled
    error_message = "The table must be protected."
  }

  assert {
    condition     = length(aws_lambda_function.function.vpc_config) == 0 && aws_lambda_function.function.kms_key_arn == null
    error_message = "Without subnets there is no VPC, and without a key of one's own AWS's is used."
  }

  assert {
    condition = (
      length(aws_lambda_provisioned_concurrency_config.fixed) == 0
      && length(aws_lambda_provisioned_concurrency_config.scaled) == 0
      && length(aws_appautoscaling_target.provisioned) == 0
    )
    error_message = "Nothing is provisioned unless it is asked for."
  }

  assert {
    condition = (
      length(aws_cloudwatch_metric_alarm.new_version) == 0
      && length(aws_cloudwatch_metric_alarm.duration) == 0
      && length(aws_cloudwatch_metric_alarm.throttles) == 0
    )
    error_message = "There are no alarms that nobody asked for."
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
    condition = { for query in aws_cloudwatch_metric_alarm.errors.metric_query : query.id => query.metric[0].metric_name if query.id != "rate" } == {
      errors = "Errors"
      own    = "{% case trigger %}{% when "direct" %}ClientErrors{% when "function-url" or "http-api" %}ServerErrors{% endcase %}"
      total  = "Invocations"
    }
    error_message = "The alarm must watch the share of the server's errors."
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
{%- when "http-api" %}

  assert {
    condition     = aws_apigatewayv2_route.default.authorization_type == "AWS_IAM" && length(aws_apigatewayv2_authorizer.jwt) == 0
    error_message = "Without an issuer the API must take signed requests only."
  }

  assert {
    condition     = aws_apigatewayv2_integration.function.integration_uri == aws_lambda_alias.live.invoke_arn && aws_lambda_permission.api.qualifier == "live"
    error_message = "The API must invoke the alias, and be allowed to."
  }

  assert {
    condition     = aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api/*"
    error_message = "No other API may invoke the function."
  }

  assert {
    condition     = aws_cloudwatch_log_group.api.name == "/aws/vendedlogs/apis/${local.name}" && jsondecode(aws_apigatewayv2_stage.default.access_log_settings[0].format).status == "$context.status"
    error_message = "The API must write an access log, in JSON."
  }
{%- when "direct" %}

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.live.qualifier == "live"
      && aws_lambda_function_event_invoke_config.live.maximum_retry_attempts == 2
      && length(aws_lambda_function_event_invoke_config.live.destination_config) == 0
    )
    error_message = "The settings of asynchronous invocations must be the alias's, and drop what fails."
  }
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

run "a_table_of_another_account" {
  command = apply

  variables {
    existing_table_name = "arn:aws:dynamodb:eu-central-1:210987654321:table/items"
  }

  assert {
    condition     = aws_lambda_function.function.environment[0].variables.TABLE_NAME == var.existing_table_name && output.table_name == var.existing_table_name
    error_message = "The function must know the table by its ARN."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[0].Resource == var.existing_table_name
    error_message = "The function may read that table only."
  }
}

run "a_key_of_ones_own" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0b0e7ab7-8e1c-4d3f-a1f5-3cb39cf0bdb6"
  }

  assert {
    condition = alltrue([
      for key in [
        aws_lambda_function.function.kms_key_arn,
        aws_cloudwatch_log_group.function.kms_key_id,
        aws_dynamodb_table.table[0].server_side_encryption[0].kms_key_arn,
{%- case trigger %}
{%- when "http-api" %}
        aws_cloudwatch_log_group.api.kms_key_id,
{%- when "direct" or "function-url" %}
{%- endcase %}
      ] : key == var.kms_key_arn
    ])
    error_message = "The key must encrypt the variables, the logs and the table."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Condition.StringEquals["kms:ViaService"]
      if statement.Action == "kms:Decrypt" && statement.Resource == var.kms_key_arn
    ]) == ["dynamodb.eu-central-1.amazonaws.com", "lambda.eu-central-1.amazonaws.com"]
    error_message = "The function may use the key through DynamoDB and Lambda only."
  }
}

run "in_a_vpc_and_within_bounds" {
  command = apply

  variables {
    subnet_ids               = ["subnet-1", "subnet-2"]
    security_group_ids       = ["sg-1"]
    role_path                = "/team/"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_lambda_function.function.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && aws_lambda_function.function.vpc_config[0].security_group_ids == toset(["sg-1"])
    error_message = "The function must run in the subnets."
  }

  assert {
    condition     = contains(flatten(jsondecode(aws_iam_role_policy.function.policy).Statement[*].Action), "ec2:CreateNetworkInterface")
    error_message = "The function must be allowed its network interfaces."
  }

  assert {
    condition     = aws_iam_role.function.path == "/team/" && aws_iam_role.function.permissions_boundary == var.permissions_boundary_arn
    error_message = "The role must have its path and its boundary."
  }
}

run "a_second_level_is_made" {
  command = apply

  variables {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1", "sg-2"]
    shared_cache       = "new"
  }

  assert {
    condition = { for name, value in aws_lambda_function.function.environment[0].variables : name => value if startswith(name, "CACHE_SHARED_") } == {
      CACHE_SHARED_ENABLED   = "true"
      CACHE_SHARED_ENDPOINT  = "cache.example.com:6379"
      CACHE_SHARED_NAME      = local.name
      CACHE_SHARED_IAM_CACHE = aws_elasticache_serverless_cache.shared[0].name
      CACHE_SHARED_IAM_USER  = aws_elasticache_user.shared[0].user_name
    }
    error_message = "The function must know where it is, and sign for it."
  }

  assert {
    condition     = can(regex("^cache-[0-9a-f]{8}$", local.shared_name)) && aws_elasticache_user.shared[0].user_id == aws_elasticache_user.shared[0].user_name
    error_message = "Its name must be one that ElastiCache and IAM take, and the user's two names the same."
  }

  assert {
    condition     = aws_security_group.shared[0].vpc_id == "vpc-1" && aws_vpc_security_group_ingress_rule.shared[*].referenced_security_group_id == ["sg-1", "sg-2"]
    error_message = "The function's security groups alone must reach it."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Resource if statement.Action == "elasticache:Connect"
    ]) == [aws_elasticache_serverless_cache.shared[0].arn, aws_elasticache_user.shared[0].arn]
    error_message = "The function must be allowed to connect, and to nothing else."
  }
}

run "a_second_level_that_exists" {
  command = apply

  variables {
    shared_cache = "rediss://cache.example.com:6380"
  }

  assert {
    condition = (
      aws_lambda_function.function.environment[0].variables.CACHE_SHARED_ENDPOINT == var.shared_cache
      && length(aws_elasticache_serverless_cache.shared) == 0
      && length(aws_elasticache_user.shared) == 0
      && length(aws_security_group.shared) == 0
    )
    error_message = "The function must use the one that is there, and nothing is made."
  }
}

run "a_new_version_gets_a_tenth" {
  command = apply

  variables {
    new_version_percent = 10
    stable_version      = "6"
  }

  assert {
    condition     = aws_lambda_alias.live.function_version == "6" && aws_lambda_alias.live.routing_config[0].additional_version_weights == tomap({ "7" = 0.1 })
    error_message = "A tenth must go to the new version, and the rest to the stable one."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.new_version[0].metric_query : query.id => query.metric[0].dimensions if query.id != "rate" } == {
      errors = tomap({ FunctionName = local.name, Resource = "${local.name}:live", ExecutedVersion = "7" })
      own    = tomap({ FunctionName = local.name, FunctionVersion = "7" })
      total  = tomap({ FunctionName = local.name, Resource = "${local.name}:live", ExecutedVersion = "7" })
    }
    error_message = "The alarm must watch the new version alone."
  }
}

run "concurrency_is_provisioned" {
  command = plan

  variables {
    provisioned_concurrency = 2
  }

  assert {
    condition     = aws_lambda_provisioned_concurrency_config.fixed[0].provisioned_concurrent_executions == 2 && aws_lambda_provisioned_concurrency_config.fixed[0].qualifier == "live"
    error_message = "The alias must have the concurrency."
  }

  assert {
    condition     = length(aws_lambda_provisioned_concurrency_config.scaled) == 0 && length(aws_appautoscaling_target.provisioned) == 0
    error_message = "Nothing scales it."
  }
}

run "provisioned_concurrency_is_scaled" {
  command = plan

  variables {
    provisioned_concurrency     = 2
    provisioned_concurrency_max = 10
  }

  assert {
    condition     = length(aws_lambda_provisioned_concurrency_config.fixed) == 0 && aws_lambda_provisioned_concurrency_config.scaled[0].provisioned_concurrent_executions == 2
    error_message = "The scaling must begin with the least."
  }

  assert {
    condition = (
      aws_appautoscaling_target.provisioned[0].resource_id == "function:${local.name}:live"
      && aws_appautoscaling_target.provisioned[0].min_capacity == 2
      && aws_appautoscaling_target.provisioned[0].max_capacity == 10
      && aws_appautoscaling_policy.provisioned[0].resource_id == aws_appautoscaling_target.provisioned[0].resource_id
    )
    error_message = "The alias's concurrency must be scaled from 2 to 10."
  }
}

run "alarms_that_are_asked_for" {
  command = plan

  variables {
    alarm_topic_arn      = "arn:aws:sns:eu-central-1:123456789012:alarms"
    duration_p99_ms      = 500
    throttles_per_minute = 0
    new_version_percent  = 10
    stable_version       = "6"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.duration[0].threshold == 500 && aws_cloudwatch_metric_alarm.duration[0].extended_statistic == "p99"
    error_message = "The slowest of a hundred must be watched."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.throttles[0].threshold == 0
    error_message = "Any throttled invocation must be seen."
  }

  assert {
    condition = alltrue([
      for alarm in [
        aws_cloudwatch_metric_alarm.errors,
        aws_cloudwatch_metric_alarm.new_version[0],
        aws_cloudwatch_metric_alarm.duration[0],
        aws_cloudwatch_metric_alarm.throttles[0],
        aws_cloudwatch_metric_alarm.load_errors,
      ] : alarm.alarm_actions == toset([var.alarm_topic_arn]) && alarm.ok_actions == toset([var.alarm_topic_arn])
    ])
    error_message = "Alarms and their ends are sent to the topic."
  }
}
{%- case trigger %}
{%- when "http-api" %}

run "callers_bring_tokens" {
  command = apply

  variables {
    jwt_issuer          = "https://issuer.example"
    jwt_audience        = "quotes"
    requests_per_second = 50
    request_burst       = 20
  }

  assert {
    condition     = aws_apigatewayv2_route.default.authorization_type == "JWT" && aws_apigatewayv2_route.default.authorizer_id == aws_apigatewayv2_authorizer.jwt[0].id
    error_message = "The API must ask for tokens."
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.jwt[0].jwt_configuration[0].issuer == "https://issuer.example" && aws_apigatewayv2_authorizer.jwt[0].jwt_configuration[0].audience == toset(["quotes"])
    error_message = "The tokens must be the issuer's, and for the audience."
  }

  assert {
    condition     = aws_apigatewayv2_stage.default.default_route_settings[0].throttling_rate_limit == 50 && aws_apigatewayv2_stage.default.default_route_settings[0].throttling_burst_limit == 20
    error_message = "The API must refuse more requests than that."
  }
}
{%- when "function-url" %}
{%- when "direct" %}

run "events_that_failed_go_to_a_queue" {
  command = apply

  variables {
    on_failure_arn    = "arn:aws:sqs:eu-central-1:123456789012:failed"
    retry_attempts    = 0
    event_age_seconds = 60
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.live.destination_config[0].on_failure[0].destination == var.on_failure_arn
      && aws_lambda_function_event_invoke_config.live.maximum_retry_attempts == 0
      && aws_lambda_function_event_invoke_config.live.maximum_event_age_in_seconds == 60
    )
    error_message = "Events that failed must go to the queue."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Action if statement.Resource == var.on_failure_arn
    ]) == "sqs:SendMessage"
    error_message = "The function must be allowed to send to the queue."
  }
}

run "events_that_failed_go_to_a_topic" {
  command = apply

  variables {
    on_failure_arn = "arn:aws:sns:eu-central-1:123456789012:failed"
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Action if statement.Resource == var.on_failure_arn
    ]) == "sns:Publish"
    error_message = "The function must be allowed to publish to the topic."
  }
}
{%- endcase %}

run "every_variable_has_its_limits" {
  command = plan

  variables {
    name                     = "1st"
    memory_size              = 127
    ttl_policy               = "forever"
    ttl_seconds              = 86401
    stale_if_error_seconds   = -1
    cache_memory_percent     = 81
    metrics_interval_seconds = 3601
    timeout_seconds          = 0
    log_level                = "WARN"
    existing_table_name      = "a table"
    existing_table_key_arn   = "alias/key"
    kms_key_arn              = "alias/key"
    log_retention_days       = 31
    ephemeral_storage_mb     = 511
    reserved_concurrency     = -2
    provisioned_concurrency  = -1
    security_group_ids       = ["sg-1"]
    shared_cache             = "cache.example.com"
    role_path                = "team"
    permissions_boundary_arn = "boundary"
{%- case trigger %}
{%- when "http-api" %}
    jwt_issuer               = "http://issuer.example"
    requests_per_second      = 0
    request_burst            = 0
{%- when "function-url" %}
{%- when "direct" %}
    retry_attempts           = 3
    event_age_seconds        = 59
    on_failure_arn           = "arn:aws:s3:::bucket"
{%- endcase %}
    alarm_topic_arn          = "topic"
    error_rate_percent       = 101
    load_errors_per_minute   = -1
    duration_p99_ms          = -1
    throttles_per_minute     = -2
    stable_version           = "$LATEST"
  }

  expect_failures = [
    var.name,
    var.memory_size,
    var.ttl_policy,
    var.ttl_seconds,
    var.stale_if_error_seconds,
    var.cache_memory_percent,
    var.metrics_interval_seconds,
    var.timeout_seconds,
    var.log_level,
    var.existing_table_name,
    var.existing_table_key_arn,
    var.kms_key_arn,
    var.log_retention_days,
    var.ephemeral_storage_mb,
    var.reserved_concurrency,
    var.provisioned_concurrency,
    var.security_group_ids,
    var.shared_cache,
    var.role_path,
    var.permissions_boundary_arn,
{%- case trigger %}
{%- when "http-api" %}
    var.jwt_issuer,
    var.requests_per_second,
    var.request_burst,
{%- when "function-url" %}
{%- when "direct" %}
    var.retry_attempts,
    var.event_age_seconds,
    var.on_failure_arn,
{%- endcase %}
    var.alarm_topic_arn,
    var.error_rate_percent,
    var.load_errors_per_minute,
    var.duration_p99_ms,
    var.throttles_per_minute,
    var.stable_version,
  ]
}

run "some_limits_depend_on_other_variables" {
  command = plan

  variables {
    provisioned_concurrency     = 3
    provisioned_concurrency_max = 2
    subnet_ids                  = ["subnet-1"]
    new_version_percent         = 10
{%- case trigger %}
{%- when "http-api" %}
    jwt_issuer                  = "https://issuer.example"
{%- when "direct" or "function-url" %}
{%- endcase %}
  }

  expect_failures = [
    var.provisioned_concurrency_max,
    var.security_group_ids,
    var.stable_version,
{%- case trigger %}
{%- when "http-api" %}
    var.jwt_audience,
{%- when "direct" or "function-url" %}
{%- endcase %}
  ]
}

run "a_new_version_gets_no_more_than_all" {
  command = plan

  variables {
    new_version_percent = 101
  }

  expect_failures = [var.new_version_percent]
}

run "the_edges_are_allowed" {
  command = plan

  variables {
    name                        = join("", [for _ in range(45) : "a"])
    memory_size                 = 10240
    ttl_policy                  = "immutable"
    ttl_seconds                 = 0
    stale_if_error_seconds      = 86400
    cache_memory_percent        = 80
    metrics_interval_seconds    = 0
    timeout_seconds             = 900
    log_level                   = "TRACE"
    existing_table_name         = join("", [for _ in range(255) : "a"])
    log_retention_days          = 3653
    ephemeral_storage_mb        = 10240
    reserved_concurrency        = 0
    provisioned_concurrency     = 1
    provisioned_concurrency_max = 1
    error_rate_percent          = 100
    load_errors_per_minute      = 0
    cache_enabled               = false
    deletion_protection         = false
    point_in_time_recovery      = false
    new_version_percent         = 1
    stable_version              = "1"
    permissions_boundary_arn    = "arn:aws:iam::aws:policy/PowerUserAccess"
  }

  assert {
    condition     = aws_lambda_function.function.environment[0].variables.CACHE_ENABLED == "false"
    error_message = "The kill switch must reach the function."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.load_errors.threshold == 0
    error_message = "The alarm must have its threshold."
  }
}

run "without_a_package_there_is_no_deployment" {
  command = plan

  variables {
    package = "missing.zip"
  }

  expect_failures = [aws_lambda_function.function]
}
