# A module: the folders in stages/ use it, each with a name, a state and settings of its own.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

# It says the region, too: what aws_region calls it differs between versions 5 and 6 of the provider.
data "aws_service_principal" "lambda" {
  service_name = "lambda"
}

locals {
  name         = var.name
  create_table = var.existing_table_name == ""
  table_name   = local.create_table ? aws_dynamodb_table.table[0].name : var.existing_table_name
  region       = data.aws_service_principal.lambda.region
  dns_suffix   = data.aws_partition.current.dns_suffix
  table_prefix = "arn:${data.aws_partition.current.partition}:dynamodb:${local.region}:${data.aws_caller_identity.current.account_id}:table/"
  kms_key_arn  = var.kms_key_arn == "" ? null : var.kms_key_arn
  provision    = var.provisioned_concurrency > 0
  scale        = local.provision && var.provisioned_concurrency_max > 0
  gradual      = var.new_version_percent < 100
{%- case trigger %}
{%- when "http-api" %}
  tokens       = var.jwt_issuer != ""
{%- when "direct" or "function-url" %}
{%- endcase %}
  console = {
    aws        = "console.aws.amazon.com"
    aws-cn     = "console.amazonaws.cn"
    aws-us-gov = "console.amazonaws-us-gov.com"
  }[data.aws_partition.current.partition]
}

# Not in a VPC by default: DynamoDB is reached through its public endpoint, with IAM.
resource "aws_lambda_function" "function" {
  # checkov:skip=CKV_AWS_116:whoever waits has the error; asynchronous events have a destination, with that trigger
  # checkov:skip=CKV_AWS_272:who may deploy is bounded by the roles; signing is yours to add
  function_name                  = local.name
  description                    = "${local.name}: answers from cached DynamoDB items"
  filename                       = var.package
  source_code_hash               = try(filebase64sha256(var.package), null)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = ["{{arch}}"]
  memory_size                    = var.memory_size
  reserved_concurrent_executions = var.reserved_concurrency
  timeout                        = var.timeout_seconds
  role                           = aws_iam_role.function.arn
  kms_key_arn                    = local.kms_key_arn
  # Callers use the alias. Each change of the code or of a property here publishes a version.
  publish = true

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) > 0 ? [1] : []

    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    log_group             = aws_cloudwatch_log_group.function.name
  }

  # No secrets in here.
  environment {
    variables = merge(local.shared_variables, {
      TABLE_NAME                   = local.table_name
      CACHE_ENABLED                = tostring(var.cache_enabled)
      CACHE_TTL_POLICY             = var.ttl_policy
      CACHE_TTL_SECONDS            = tostring(var.ttl_seconds)
      CACHE_STALE_IF_ERROR_SECONDS = tostring(var.stale_if_error_seconds)
      CACHE_MEMORY_PERCENT         = tostring(var.cache_memory_percent)
      METRICS_INTERVAL_SECONDS     = tostring(var.metrics_interval_seconds)
    })
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.package)
      error_message = "${var.package} is not there. Build it first, at the top of the workspace: cargo lambda build --release --{{arch | replace: "_", "-"}} --output-format zip"
    }
  }

  # Before its permissions it could neither read nor log.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What callers invoke."
  function_name    = aws_lambda_function.function.function_name
  function_version = local.gradual ? var.stable_version : aws_lambda_function.function.version

  dynamic "routing_config" {
    for_each = local.gradual ? [1] : []

    content {
      additional_version_weights = { (aws_lambda_function.function.version) = var.new_version_percent / 100 }
    }
  }
}

resource "aws_lambda_provisioned_concurrency_config" "fixed" {
  count = local.provision && !local.scale ? 1 : 0

  function_name                     = aws_lambda_function.function.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency
}

# Where the scaling begins. Without it there would be no metric to scale by, and nothing that ends the
# concurrency with the scaling.
resource "aws_lambda_provisioned_concurrency_config" "scaled" {
  count = local.scale ? 1 : 0

  function_name                     = aws_lambda_function.function.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency

  lifecycle {
    # The scaling's from here on.
    ignore_changes = [provisioned_concurrent_executions]
  }

  # Both are the alias's only one: what goes must be gone before the other comes.
  depends_on = [aws_lambda_provisioned_concurrency_config.fixed]
}

resource "aws_appautoscaling_target" "provisioned" {
  count = local.scale ? 1 : 0

  service_namespace  = "lambda"
  scalable_dimension = "lambda:function:ProvisionedConcurrency"
  resource_id        = "function:${local.name}:${aws_lambda_provisioned_concurrency_config.scaled[0].qualifier}"
  min_capacity       = var.provisioned_concurrency
  max_capacity       = var.provisioned_concurrency_max
}

resource "aws_appautoscaling_policy" "provisioned" {
  count = local.scale ? 1 : 0

  name               = "provisioned"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.provisioned[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.provisioned[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.provisioned[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value = 0.7

    predefined_metric_specification {
      predefined_metric_type = "LambdaProvisionedConcurrencyUtilization"
    }
  }
}
{%- case trigger %}
{%- when "function-url" %}

resource "aws_lambda_function_url" "live" {
  function_name = aws_lambda_function.function.function_name
  qualifier     = aws_lambda_alias.live.name
  # Callers sign their requests, and need lambda:InvokeFunctionUrl and lambda:InvokeFunction.
  authorization_type = "AWS_IAM"
}
{%- when "http-api" %}

# Every path and method goes to the function, which knows its routes. CORS is off: cors_configuration
# turns it on.
resource "aws_apigatewayv2_api" "api" {
  name          = local.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.api.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = aws_lambda_alias.live.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = local.tokens ? 1 : 0

  api_id           = aws_apigatewayv2_api.api.id
  name             = "jwt"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.jwt_issuer
    audience = [var.jwt_audience]
  }
}

resource "aws_apigatewayv2_route" "default" {
  api_id    = aws_apigatewayv2_api.api.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.function.id}"
  # With IAM callers sign their requests, and need execute-api:Invoke.
  authorization_type = local.tokens ? "JWT" : "AWS_IAM"
  authorizer_id      = one(aws_apigatewayv2_authorizer.jwt[*].id)
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.api.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit  = var.requests_per_second
    throttling_burst_limit = var.request_burst
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api.arn
    format = jsonencode({
      time             = "$context.requestTime"
      id               = "$context.requestId"
      ip               = "$context.identity.sourceIp"
      caller           = "$context.identity.userArn"
      method           = "$context.httpMethod"
      path             = "$context.path"
      status           = "$context.status"
      ms               = "$context.responseLatency"
      bytes            = "$context.responseLength"
      error            = "$context.error.message"
      integrationError = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_lambda_permission" "api" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.api.execution_arn}/*"
}

resource "aws_cloudwatch_log_group" "api" {
  # checkov:skip=CKV_AWS_338:log_retention_days says how long
  # Under this prefix API Gateway needs no policy for each log group.
  name              = "/aws/vendedlogs/apis/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}
{%- when "direct" %}

# Of asynchronous invocations. Whoever waits for the answer gets the error.
resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.function.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_retry_attempts       = var.retry_attempts
  maximum_event_age_in_seconds = var.event_age_seconds

  dynamic "destination_config" {
    for_each = var.on_failure_arn == "" ? [] : [1]

    content {
      on_failure {
        destination = var.on_failure_arn
      }
    }
  }
}
{%- endcase %}

resource "aws_iam_role" "function" {
  # The provider adds to it: a role of this name may exist in another region.
  name_prefix          = substr("${local.name}-", 0, 38)
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = data.aws_service_principal.lambda.name }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name = "function"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        # Kinds by `table.query(...)` need the action Query, too, and those that ask an index the ARN with /index/*;
        # parameters `ssm:GetParameters`; secrets `secretsmanager:BatchGetSecretValue` on * and `:GetSecretValue`.
        {
          Effect   = "Allow"
          Action   = ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
          Resource = startswith(local.table_name, "arn:") ? local.table_name : "${local.table_prefix}${local.table_name}"
        },
        {
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.function.arn}:*"
        },
        # X-Ray knows no resources for these.
        {
          Effect   = "Allow"
          Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
          Resource = "*"
        },
      ],
      var.existing_table_key_arn == "" ? [] : [{
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.existing_table_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${local.region}.${local.dns_suffix}" } }
      }],
      var.kms_key_arn == "" ? [] : [{
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.kms_key_arn
        Condition = {
          StringEquals = {
            "kms:ViaService" = [for service in ["dynamodb", "lambda"] : "${service}.${local.region}.${local.dns_suffix}"]
          }
        }
      }],
      !local.new_shared ? [] : [{
        Effect   = "Allow"
        Action   = "elasticache:Connect"
        Resource = concat(aws_elasticache_serverless_cache.shared[*].arn, aws_elasticache_user.shared[*].arn)
      }],
      # Lambda's network interfaces know no resources for these.
      length(var.subnet_ids) == 0 ? [] : [{
        Effect   = "Allow"
        Action   = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
        Resource = "*"
      }],
{%- case trigger %}
{%- when "direct" %}
      var.on_failure_arn == "" ? [] : [{
        Effect   = "Allow"
        Action   = split(":", var.on_failure_arn)[2] == "sns" ? "sns:Publish" : "sqs:SendMessage"
        Resource = var.on_failure_arn
      }],
{%- when "function-url" or "http-api" %}
{%- endcase %}
    )
  })
}

# The function logs no item contents.
resource "aws_cloudwatch_log_group" "function" {
  # checkov:skip=CKV_AWS_338:log_retention_days says how long
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}

# DynamoDB's own key costs nothing for each request.
resource "aws_dynamodb_table" "table" {
  count = local.create_table ? 1 : 0

  name                        = "${local.name}-items"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  deletion_protection_enabled = var.deletion_protection

  # As `KEY` says in the handler: its tests compare the two.
  attribute {
    name = "pk"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  dynamic "server_side_encryption" {
    for_each = local.kms_key_arn[*]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}
