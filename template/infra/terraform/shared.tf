# The second level, for kinds that are declared `.shared(...)`: none as this is rendered. A new one costs at least
# 6 USD a month, for its least of 0.1 GB, and at the limits below up to 92, at the prices of us-east-1.
locals {
  shared     = var.shared_cache != "none"
  new_shared = var.shared_cache == "new"
  # ElastiCache has fewer letters for names, and IAM knows them in lower case alone.
  shared_name = "cache-${substr(md5(local.name), 0, 8)}"

  shared_variables = merge(
    { CACHE_SHARED_ENABLED = tostring(local.shared) },
    local.shared ? {
      CACHE_SHARED_ENDPOINT = local.new_shared ? "${one(aws_elasticache_serverless_cache.shared[*].endpoint[0].address)}:6379" : var.shared_cache
      CACHE_SHARED_NAME     = local.name
    } : {},
    local.new_shared ? {
      CACHE_SHARED_IAM_CACHE = local.shared_name
      CACHE_SHARED_IAM_USER  = local.shared_name
    } : {},
  )
}

data "aws_subnet" "first" {
  count = local.new_shared ? 1 : 0

  id = var.subnet_ids[0]
}

resource "aws_security_group" "shared" {
  count = local.new_shared ? 1 : 0

  name_prefix = "${local.name}-"
  description = "The second level of ${local.name}: its function alone may ask it"
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "shared" {
  count = local.new_shared ? length(var.security_group_ids) : 0

  description                  = "From the function"
  security_group_id            = aws_security_group.shared[0].id
  referenced_security_group_id = var.security_group_ids[count.index]
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_elasticache_serverless_cache" "shared" {
  count = local.new_shared ? 1 : 0

  name                 = local.shared_name
  description          = "${local.name}: what its environments share"
  engine               = "valkey"
  major_engine_version = "8"
  subnet_ids           = var.subnet_ids
  security_group_ids   = aws_security_group.shared[*].id
  user_group_id        = aws_elasticache_user_group.shared[0].user_group_id
  kms_key_id           = local.kms_key_arn

  cache_usage_limits {
    data_storage {
      maximum = 1
      unit    = "GB"
    }

    ecpu_per_second {
      maximum = 5000
    }
  }
}

resource "aws_elasticache_user_group" "shared" {
  count = local.new_shared ? 1 : 0

  engine        = "valkey"
  user_group_id = local.shared_name
  user_ids      = aws_elasticache_user.shared[*].user_id
}

# The function, by its role. What it may is what cache-core asks.
resource "aws_elasticache_user" "shared" {
  count = local.new_shared ? 1 : 0

  engine        = "valkey"
  user_id       = local.shared_name
  user_name     = local.shared_name
  access_string = "on ~${local.name}:* -@all +ping +asking +cluster|slots +set +getrange +eval +del"

  authentication_mode {
    type = "iam"
  }
}
