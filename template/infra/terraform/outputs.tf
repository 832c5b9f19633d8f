output "function_alias" {
  description = "What callers {% case trigger %}{% when "direct" %}invoke{% when "function-url" %}need permission for{% when "http-api" %}reach through the API{% endcase %}."
  value       = aws_lambda_alias.live.arn
}
{%- case trigger %}
{%- when "function-url" %}

output "function_url" {
  description = "Where callers send their requests, signed."
  value       = aws_lambda_function_url.live.function_url
}
{%- when "http-api" %}

output "api_url" {
  description = "Where callers send their requests, signed or with a token."
  value       = aws_apigatewayv2_api.api.api_endpoint
}
{%- when "direct" %}
{%- endcase %}

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
  value       = "https://${local.console}/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.caches.dashboard_name}"
}
