#!/usr/bin/env bash
# Turns the cache off or on again at once, with the code that is live: nothing is built, nothing but the function
# and its alias is touched, and the alias moves in one step. The stage's folder has to be initialised, as for any other command of Terraform.
#
#     bash infra/terraform/configure.sh STAGE cache_enabled=false
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "usage: configure.sh STAGE cache_enabled=false|true" >&2
    exit 2
fi
cd "$(dirname "$0")/stages/$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The very package that was deployed, so that Terraform sees no other code.
alias=$(terraform output -json function | sed -n 's/.*"function_alias": *"\([^"]*\)".*/\1/p')
url=$(aws lambda get-function --function-name "$alias" --query Code.Location --output text)
curl --silent --show-error --fail --output "$work/live.zip" "$url"
terraform apply -input=false -auto-approve -lock-timeout=15m \
    -target=module.function.aws_lambda_function.function -target=module.function.aws_lambda_alias.live \
    -var "package=$work/live.zip" -var "$2"
echo "done. Set it in stages/$1/main.tf, too, or the next deployment takes it back." >&2
