#!/usr/bin/env bash
# Changes parameters of a stack at once, with the code that is live: nothing is built, the alias moves in one
# step, and no alarm takes it back. A deployment under way is ended first. The kill switch is
#
#     bash infra/sam/configure.sh STACK CacheEnabled=false
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: configure.sh STACK PARAMETER=VALUE..." >&2
    exit 2
fi
stack=$1
shift

cloudformation() { aws cloudformation "$@" --stack-name "$stack"; }

if [ "$(cloudformation describe-stacks --query 'Stacks[0].StackStatus' --output text)" = UPDATE_IN_PROGRESS ]; then
    echo "a deployment is under way: it is cancelled" >&2
    cloudformation cancel-update-stack
    cloudformation wait stack-rollback-complete
fi
known=$(cloudformation describe-stacks --query 'Stacks[0].Parameters[].ParameterKey' --output text)
for change in "$@"; do
    if ! grep -qw -- "${change%%=*}" <<<"$known"; then
        echo "$stack has no parameter ${change%%=*}, but: ${known//[[:space:]]/ }" >&2
        exit 2
    fi
done
parameters=()
for key in $known; do
    value=UsePreviousValue=true
    for change in DeploymentType=AllAtOnce "$@"; do
        # A comma would end the value.
        if [ "${change%%=*}" = "$key" ]; then value=ParameterValue=${change#*=}; fi
    done
    parameters+=("ParameterKey=$key,${value//,/\\,}")
done
cloudformation update-stack --use-previous-template --parameters "${parameters[@]}" \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND
cloudformation wait stack-update-complete
echo "done. DeploymentType is AllAtOnce until a deployment says otherwise, and so are the others until then." >&2
