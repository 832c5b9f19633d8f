terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }

  # The state is shared and locked. Where it is is given to `terraform init`: see README.md.
  backend "s3" {
    use_lockfile = true
  }
}

# Region and credentials come from the environment.
provider "aws" {
  default_tags {
    tags = {
      project = local.name
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name         = var.name
  create_table = var.existing_table_name == ""
  table_name   = local.create_table ? aws_dynamodb_table.table[0].name : var.existing_table_name
  region       = data.aws_region.current.name
  arn_suffix   = "${local.region}:${data.aws_caller_identity.current.account_id}"
  console = {
    aws        = "console.aws.amazon.com"
    aws-cn     = "console.amazonaws.cn"
    aws-us-gov = "console.amazonaws-us-gov.com"
  }[data.aws_partition.current.partition]
}

# Not in a VPC: DynamoDB is reached through its public endpoint, with IAM, and cold starts are
# shorter. No dead-letter queue: invocations are synchronous, and the caller gets the error.
resource "aws_lambda_function" "function" {
  function_name                  = local.name
  description                    = "${local.name}: answers from cached DynamoDB items"
  filename                       = var.package
  source_code_hash               = try(filebase64sha256(var.package), null)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = ["{{arch}}"]
  memory_size                    = var.memory_size
  reserved_concurrent_executions = var.reserved_concurrency
  role                           = aws_iam_role.function.arn
  # Callers use the alias. Each change of the code or of a property here publishes a version.
  publish = true
  # The function answers 200 ms before this, whatever DynamoDB does.
  timeout = 5

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format = "JSON"
    # DEBUG adds a line for each invocation, with its hits, its misses and the time spent loading.
    application_log_level = "INFO"
    log_group             = aws_cloudwatch_log_group.function.name
  }

  # No secrets in here, so Lambda's own key encrypts them.
  environment {
    variables = {
      TABLE_NAME                   = local.table_name
      CACHE_ENABLED                = tostring(var.cache_enabled)
      CACHE_TTL_POLICY             = var.ttl_policy
      CACHE_TTL_SECONDS            = tostring(var.ttl_seconds)
      CACHE_STALE_IF_ERROR_SECONDS = tostring(var.stale_if_error_seconds)
    }
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
  function_version = aws_lambda_function.function.version
}
{%- case trigger %}
{%- when "function-url" %}

resource "aws_lambda_function_url" "live" {
  function_name = aws_lambda_function.function.function_name
  qualifier     = aws_lambda_alias.live.name
  # Callers sign their requests, and need lambda:InvokeFunctionUrl and lambda:InvokeFunction.
  authorization_type = "AWS_IAM"
}
{%- when "direct" %}
{%- endcase %}

resource "aws_iam_role" "function" {
  # The provider adds to it: a role of this name may exist in another region.
  name_prefix = substr("${local.name}-", 0, 38)
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name = "function"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      # For each kind that is declared with `table.query(...)` the action Query has to be added, and for
      # one that asks an index the ARN of the table with /index/* behind it.
      {
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
        Resource = "arn:${data.aws_partition.current.partition}:dynamodb:${local.arn_suffix}:table/${local.table_name}"
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
      ], var.existing_table_key_arn == "" ? [] : [{
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.existing_table_key_arn
        Condition = {
          StringEquals = { "kms:ViaService" = "dynamodb.${local.region}.${data.aws_partition.current.dns_suffix}" }
        }
    }])
  })
}

# With CloudWatch's own key: the function logs no item contents.
resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
}

# With DynamoDB's own key, which costs nothing for each request.
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
}
