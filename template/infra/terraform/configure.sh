#!/usr/bin/env bash
# Turns the cache off or on again at once, with the code that is live: nothing is built, nothing but the functions
# and their aliases is touched, and each alias moves in one step. The stage's folder has to be initialised, as for any
# other command of Terraform.
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

arguments=()
while read -r module; do
    # None of a module of another kind.
    alias=$(terraform output -json "$module" 2>/dev/null | sed -n 's/.*"function_alias": *"\([^"]*\)".*/\1/p' || true)
    [ -n "$alias" ] || continue
    # The very package that was deployed, so that Terraform sees no other code.
    url=$(aws lambda get-function --function-name "$alias" --query Code.Location --output text)
    curl --silent --show-error --fail --output "$work/$module.zip" "$url"
    package=${module}_package
    [ "$module" != function ] || package=package
    arguments+=(-target="module.$module.aws_lambda_function.function" -target="module.$module.aws_lambda_alias.live")
    arguments+=(-var "$package=$work/$module.zip")
done < <(sed -n 's/^module "\([^"]*\)" {$/\1/p' ./*.tf)
terraform apply -input=false -auto-approve -lock-timeout=15m "${arguments[@]}" -var "$2"
echo "done. Set it in stages/$1/main.tf, too, or the next deployment takes it back." >&2
