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

status() { cloudformation describe-stacks --query 'Stacks[0].StackStatus' --output text; }

if [ "$(status)" = UPDATE_IN_PROGRESS ]; then
    echo "a deployment is under way: it is cancelled" >&2
    # It may have ended meanwhile.
    cloudformation cancel-update-stack || true
fi
# While it goes back or clears up, CloudFormation takes no other update.
while [[ $(status) == *_IN_PROGRESS ]]; do sleep 5; done
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
if ! said=$(cloudformation update-stack --use-previous-template --parameters "${parameters[@]}" \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND 2>&1); then
    echo "$said" >&2
    [[ $said == *"No updates are to be performed"* ]] && exit 0
    exit 1
fi
cloudformation wait stack-update-complete
echo "done. DeploymentType is AllAtOnce until a deployment says otherwise, and so are the others until then." >&2
