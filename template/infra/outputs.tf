output "function_alias" {
  description = "What callers {% if trigger == "direct" %}invoke{% else %}need permission for{% endif %}."
  value       = aws_lambda_alias.live.arn
}
{%- if trigger == "function-url" %}

output "function_url" {
  description = "Where callers send their requests, signed."
  value       = aws_lambda_function_url.live.function_url
}
{%- endif %}

output "table_name" {
  description = "Where the items are."
  value       = local.table_name
}

output "log_group_name" {
  description = "Where the logs are."
  value       = aws_cloudwatch_log_group.function.name
}

output "dashboard_url" {
  description = "How the caches do."
  value       = "https://console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.caches.dashboard_name}"
}
