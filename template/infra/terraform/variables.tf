variable "name" {
  description = "Names the function, the table and all else. One for each stage of an account and region."
  type        = string
  default     = "{{project-name}}"

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9_-]{0,39}$", var.name))
    error_message = "name must be a letter, then letters, digits, - and _, at most 40 together."
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

variable "existing_table_name" {
  description = "A table that exists, to read from. Its key's names are said in the handler. Empty creates one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-zA-Z0-9_.-]{3,255})?$", var.existing_table_name))
    error_message = "existing_table_name must be empty or 3 to 255 of A-Z a-z 0-9 . _ -"
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
  description = "Above this share of failed {% case trigger %}{% when "direct" %}invocations{% when "function-url" %}requests{% endcase %}, in three of five minutes, the alarm goes off."
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

variable "package" {
  description = "The function as cargo-lambda has packed it."
  type        = string
  default     = "../../target/lambda/{% case trigger %}{% when "direct" %}direct{% when "function-url" %}function_url{% endcase %}/bootstrap.zip"
}
