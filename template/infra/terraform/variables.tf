variable "name" {
  description = "Names the function, the table and all else. One for each stage of an account and region."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9_-]{0,44}$", var.name))
    error_message = "name must be a letter, then letters, digits, - and _, at most 45 together."
  }
}

variable "memory_size" {
  description = "Memory of the function in MB. The caches take a quarter of what the runtime leaves of it."
  type        = number
  default     = {{memory_mb}}

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be a whole number of MB from 128 to 10240."
  }
}

variable "cache_enabled" {
  description = "The kill switch. Without the cache every read goes to DynamoDB."
  type        = bool
  default     = true
}

variable "ttl_policy" {
  description = "How long cached items live - for the TTL, until their own expires_at, or as long as the environment."
  type        = string
  default     = "{{ttl_policy}}"

  validation {
    condition     = contains(["fixed", "per-item", "immutable"], var.ttl_policy)
    error_message = "ttl_policy must be fixed, per-item or immutable."
  }
}

variable "ttl_seconds" {
  description = "Time to live of cached items in seconds. 0 bypasses the cache."
  type        = number
  default     = {{ttl_seconds}}

  validation {
    condition     = var.ttl_seconds >= 0 && var.ttl_seconds <= 86400 && floor(var.ttl_seconds) == var.ttl_seconds
    error_message = "ttl_seconds must be a whole number of seconds from 0 to 86400."
  }
}

variable "stale_if_error_seconds" {
  description = "How long past its TTL an item is served while DynamoDB cannot be read, in seconds."
  type        = number
  default     = 0

  validation {
    condition     = var.stale_if_error_seconds >= 0 && var.stale_if_error_seconds <= 86400 && floor(var.stale_if_error_seconds) == var.stale_if_error_seconds
    error_message = "stale_if_error_seconds must be a whole number of seconds from 0 to 86400."
  }
}

variable "cache_memory_percent" {
  description = "The caches' share of the function's memory, less 48 MB for the process."
  type        = number
  default     = 25

  validation {
    condition     = var.cache_memory_percent >= 1 && var.cache_memory_percent <= 80 && floor(var.cache_memory_percent) == var.cache_memory_percent
    error_message = "cache_memory_percent must be a whole number from 1 to 80."
  }
}

variable "metrics_interval_seconds" {
  description = "How often an environment writes its metrics. 0 is off, and the alarms see then neither failed loads nor whose fault an error is."
  type        = number
  default     = 60

  validation {
    condition     = var.metrics_interval_seconds >= 0 && var.metrics_interval_seconds <= 3600 && floor(var.metrics_interval_seconds) == var.metrics_interval_seconds
    error_message = "metrics_interval_seconds must be a whole number of seconds from 0 to 3600."
  }
}

variable "timeout_seconds" {
  description = "The longest that an invocation may take. The function answers 200 ms before."
  type        = number
  default     = 5

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number of seconds from 1 to 900."
  }
}

variable "log_level" {
  description = "DEBUG adds a line for each invocation, with its hits, its misses and the time spent loading."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be TRACE, DEBUG or INFO: above, Lambda would drop the lines that metrics are made of."
  }
}

variable "existing_table_name" {
  description = "The name of a table that exists, to read from, or its ARN, in another account too. Its key's names are said in the handler. Empty creates one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-zA-Z0-9_.-]{3,255}|arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255})?$", var.existing_table_name))
    error_message = "existing_table_name must be empty, a table's name of 3 to 255 letters, digits and . _ -, or a table's ARN."
  }
}

variable "existing_table_key_arn" {
  description = "The ARN of the existing table's own KMS key, if it has one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+)?$", var.existing_table_key_arn))
    error_message = "existing_table_key_arn must be empty or the ARN of a KMS key."
  }
}

variable "kms_key_arn" {
  description = "A KMS key of your own for the new table, the logs and the variables. Its policy has to let CloudWatch Logs use it. Empty uses those of AWS."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+)?$", var.kms_key_arn))
    error_message = "kms_key_arn must be empty or the ARN of a KMS key."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the new table can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Whether the new table refuses to be deleted."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows, such as 7, 14, 30, 90 or 365."
  }
}

variable "ephemeral_storage_mb" {
  description = "Size of /tmp in MB. The function does not use it."
  type        = number
  default     = 512

  validation {
    condition     = var.ephemeral_storage_mb >= 512 && var.ephemeral_storage_mb <= 10240 && floor(var.ephemeral_storage_mb) == var.ephemeral_storage_mb
    error_message = "ephemeral_storage_mb must be a whole number of MB from 512 to 10240."
  }
}

variable "reserved_concurrency" {
  description = "The most environments at once, taken from the account's limit. -1 reserves none."
  type        = number
  default     = -1

  validation {
    condition     = var.reserved_concurrency >= -1 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "reserved_concurrency must be a whole number, or -1 to reserve none."
  }
}

variable "provisioned_concurrency" {
  description = "Environments that are started before anybody asks. 0 is none."
  type        = number
  default     = 0

  validation {
    condition     = var.provisioned_concurrency >= 0 && floor(var.provisioned_concurrency) == var.provisioned_concurrency
    error_message = "provisioned_concurrency must be a whole number, 0 or more."
  }
}

variable "provisioned_concurrency_max" {
  description = "Up to how many there are when 70 % of them are busy. 0 leaves it at that number."
  type        = number
  default     = 0

  validation {
    condition     = var.provisioned_concurrency_max == 0 || var.provisioned_concurrency_max >= var.provisioned_concurrency && floor(var.provisioned_concurrency_max) == var.provisioned_concurrency_max
    error_message = "provisioned_concurrency_max must be 0, or a whole number that is not less than provisioned_concurrency."
  }
}

variable "subnet_ids" {
  description = "Subnets of a VPC to run in. They need a way to DynamoDB, such as its gateway endpoint, which costs nothing. Empty runs outside."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups for the subnets. They have to allow HTTPS to DynamoDB, and port 6379 to a shared cache."
  type        = list(string)
  default     = []

  validation {
    condition     = (length(var.security_group_ids) > 0) == (length(var.subnet_ids) > 0)
    error_message = "security_group_ids and subnet_ids need each other: give both or none."
  }
}

variable "shared_cache" {
  description = "The second level that all environments share, for kinds that are declared with .shared. none; new, which makes an ElastiCache Serverless in the VPC; or where there is one, as host:port."
  type        = string
  default     = "none"

  validation {
    condition     = can(regex("^(none|new|((rediss|redis)://)?[a-zA-Z0-9.-]+:[0-9]{1,5})$", var.shared_cache))
    error_message = "shared_cache must be none, new, host:port or rediss://host:port, which are asked with TLS, or redis://host:port, which is not."
  }

  validation {
    condition     = var.shared_cache != "new" || length(var.subnet_ids) > 0
    error_message = "shared_cache = new needs subnet_ids and security_group_ids: it is reached in a VPC alone."
  }
}

variable "role_path" {
  description = "The path of the roles, where a policy of your organization wants one."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([a-zA-Z0-9+=,.@_-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with /."
  }
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds the roles. Empty is none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[a-zA-Z0-9+=,.@_/-]+)?$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be empty or the ARN of a policy."
  }
}
{%- case trigger %}
{%- when "http-api" %}

variable "jwt_issuer" {
  description = "Who issues the tokens that callers bring, as in https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc. Empty lets in who signs with IAM."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(https://.+)?$", var.jwt_issuer))
    error_message = "jwt_issuer must be empty or a URL that begins with https://."
  }
}

variable "jwt_audience" {
  description = "For whom the tokens are issued."
  type        = string
  default     = ""

  validation {
    condition     = var.jwt_issuer == "" || var.jwt_audience != ""
    error_message = "jwt_issuer needs a jwt_audience, or tokens for anybody would do."
  }
}

variable "requests_per_second" {
  description = "More requests than that are refused with the status 429."
  type        = number
  default     = 1000

  validation {
    condition     = var.requests_per_second >= 1 && floor(var.requests_per_second) == var.requests_per_second
    error_message = "requests_per_second must be a whole number from 1 on."
  }
}

variable "request_burst" {
  description = "So many at once, too."
  type        = number
  default     = 1000

  validation {
    condition     = var.request_burst >= 1 && floor(var.request_burst) == var.request_burst
    error_message = "request_burst must be a whole number from 1 on."
  }
}
{%- when "function-url" %}
{%- when "direct" %}

variable "retry_attempts" {
  description = "How often Lambda tries an asynchronous invocation again that failed."
  type        = number
  default     = 2

  validation {
    condition     = var.retry_attempts >= 0 && var.retry_attempts <= 2 && floor(var.retry_attempts) == var.retry_attempts
    error_message = "retry_attempts must be a whole number from 0 to 2."
  }
}

variable "event_age_seconds" {
  description = "How old an asynchronous event may become before it is given up."
  type        = number
  default     = 21600

  validation {
    condition     = var.event_age_seconds >= 60 && var.event_age_seconds <= 21600 && floor(var.event_age_seconds) == var.event_age_seconds
    error_message = "event_age_seconds must be a whole number of seconds from 60 to 21600."
  }
}

variable "on_failure_arn" {
  description = "The SQS queue or SNS topic that asynchronous events go to which failed for good. Empty drops them."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:(sqs|sns):[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_.-]+)?$", var.on_failure_arn))
    error_message = "on_failure_arn must be empty or the ARN of an SQS queue or an SNS topic."
  }
}
{%- endcase %}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms and their ends are sent to. Empty sends nothing."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]+)?$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be empty or the ARN of an SNS topic."
  }
}

variable "error_rate_percent" {
  description = "Above this share of invocations that fail by the server's fault, in three of five minutes, the alarm goes off."
  type        = number
  default     = 5

  validation {
    condition     = var.error_rate_percent >= 0 && var.error_rate_percent <= 100
    error_message = "error_rate_percent must be from 0 to 100."
  }
}

variable "load_errors_per_minute" {
  description = "Above so many failed loads in a minute, all environments and kinds together, in three of five minutes, the alarm goes off."
  type        = number
  # An item that cannot be decoded fails at most 33 loads a minute in an environment, since the pause
  # between them grows to 2 s: one such item does not set it off in three environments. Lower it for a
  # function that has one or two.
  default = 100

  validation {
    condition     = var.load_errors_per_minute >= 0
    error_message = "load_errors_per_minute must be 0 or more."
  }
}

variable "duration_p99_ms" {
  description = "When of a hundred invocations one takes longer, in three of five minutes, an alarm goes off. 0 is no alarm."
  type        = number
  default     = 0

  validation {
    condition     = var.duration_p99_ms >= 0
    error_message = "duration_p99_ms must be 0 or more."
  }
}

variable "throttles_per_minute" {
  description = "Above so many throttled invocations in a minute, in three of five minutes, an alarm goes off. -1 is no alarm."
  type        = number
  default     = -1

  validation {
    condition     = var.throttles_per_minute >= -1 && floor(var.throttles_per_minute) == var.throttles_per_minute
    error_message = "throttles_per_minute must be a whole number, or -1 for no alarm."
  }
}

variable "new_version_percent" {
  description = "The share of the invocations that a new version gets. Less than 100 leaves the others to stable_version, and provisioned concurrency as it is."
  type        = number
  default     = 100

  validation {
    condition     = var.new_version_percent >= 1 && var.new_version_percent <= 100
    error_message = "new_version_percent must be from 1 to 100."
  }
}

variable "stable_version" {
  description = "The number of the version that is live, for a gradual deployment. It is the FunctionVersion that `aws lambda get-alias --name live` prints."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[0-9]*$", var.stable_version)) && (var.new_version_percent == 100 || var.stable_version != "")
    error_message = "stable_version must be the number of a version, and is needed where new_version_percent is less than 100."
  }
}

variable "package" {
  description = "The function as cargo-lambda has packed it."
  type        = string
}
