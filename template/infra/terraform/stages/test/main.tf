terraform {
  # The state is shared and locked. Where it is is given to `terraform init`: see README.md.
  backend "s3" {
    use_lockfile = true
  }
}

# Region and credentials come from the environment.
provider "aws" {
  default_tags {
    tags = {
      project = "{{project-name}}"
      stage   = "test"
    }
  }
}

variable "cache_enabled" {
  description = "The kill switch. Without the cache every read goes to DynamoDB."
  type        = bool
  default     = true
}

variable "new_version_percent" {
  description = "The alias's share for the new version, for a deployment by degrees."
  type        = number
  default     = 100
}

variable "stable_version" {
  description = "The version that gets the rest."
  type        = string
  default     = ""
}

variable "package" {
  description = "The function as cargo-lambda has packed it."
  type        = string
  default     = "../../../../target/lambda/{% case trigger %}{% when "direct" %}direct{% when "function-url" or "http-api" %}http{% endcase %}/bootstrap.zip"
}

# What this stage has of its own goes in here, such as `ttl_seconds = 30`: see ../../variables.tf.
module "function" {
  source = "../.."

  name                = "{{project-name}}-test"
  package             = var.package
  cache_enabled       = var.cache_enabled
  new_version_percent = var.new_version_percent
  stable_version      = var.stable_version
}

output "function" {
  description = "What callers need, and where to look."
  value       = module.function
}
