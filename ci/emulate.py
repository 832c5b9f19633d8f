"""Deploys one workspace to an emulator and asks its function: see ci/emulate."""

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlparse

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from translate import translate

endpoint, trigger, workspace, binary = sys.argv[1:]
workspace = Path(workspace)
keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
os.environ.update(keys, AWS_DEFAULT_REGION="us-east-1")


def client(service):
    return boto3.client(service, endpoint_url=endpoint)


def wait(what, seconds=60):
    """Until `what` answers, which it need not do at first."""
    for _ in range(seconds * 5):
        try:
            if answer := what():
                return answer
        except Exception as error:
            last = error
        time.sleep(0.2)
    raise TimeoutError(last)


def upload():
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, Path(binary).read_bytes())
    wait(lambda: client("s3").create_bucket(Bucket="code"))
    client("s3").put_object(Bucket="code", Key=trigger, Body=package.getvalue())


def template():
    """What CloudFormation would get, less what the emulator does not know."""
    template = translate(workspace / "infra/sam/template.yaml", f"s3://code/{trigger}")
    resources = template["Resources"]
    for name in [name for name, it in resources.items() if it["Type"].startswith("AWS::CodeDeploy::")]:
        del resources[name]
    for name in ["DeploymentRole", "ErrorAlarm", "NewVersionAlarm"]:
        del resources[name]
    for it in resources.values():
        it.pop("UpdatePolicy", None)
    for name in ["TableIsArn", "FailuresToTopic"]:
        if name in template["Conditions"]:
            template["Conditions"][name] = {"Fn::Equals": ["yes", "no"]}
    function = resources["Function"]["Properties"]
    function["Environment"]["Variables"].update(keys, AWS_ENDPOINT_URL_DYNAMODB=endpoint)
    return json.dumps(template)


def deploy():
    formation = client("cloudformation")
    name = f"my-{trigger}"
    formation.create_stack(StackName=name, TemplateBody=template(), Capabilities=["CAPABILITY_IAM"])

    def made():
        stack = formation.describe_stacks(StackName=name)["Stacks"][0]
        return stack if "IN_PROGRESS" not in stack["StackStatus"] else None

    stack = wait(made)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def fill(table):
    serialize = TypeSerializer().serialize
    for item in json.loads((workspace / "samples/quote/items.json").read_text(), parse_float=Decimal):
        item = {name: serialize(value) for name, value in item.items()}
        client("dynamodb").put_item(TableName=table, Item=item)


def invoke(alias, payload):
    answer = client("lambda").invoke(FunctionName=alias, Payload=payload)
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def request(url, service, method, path, body=None, signed=True):
    """The emulator serves all hosts at one address."""
    request = AWSRequest(method, f"{url.scheme}://{url.netloc}{path}", data=body)
    if signed:
        credentials = Credentials(*keys.values())
        SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    headers = {**dict(request.headers), "Host": url.netloc}
    body = body and body.encode()
    request = urllib.request.Request(endpoint + path, body, headers, method=method)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, json.loads(answer.read())


def main():
    upload()
    outputs = deploy()
    fill(outputs["TableName"])
    quote = (workspace / "samples/quote/request.json").read_text()
    if trigger == "direct":
        alias = outputs["FunctionAlias"]
        error, answer = invoke(alias, quote)
        assert (error, answer["total_cents"]) == (None, 3824), answer
        _, answer = invoke(alias, "[]")
        assert answer["errorType"] == "InvalidRequest", answer
    else:
        service, url = {
            "function-url": ("lambda", outputs.get("FunctionUrl")),
            "http-api": ("execute-api", outputs.get("ApiUrl")),
        }[trigger]
        url = urlparse(url)
        status, _ = request(url, service, "POST", "/", quote, signed=False)
        assert status == 403, "callers sign"
        status, answer = request(url, service, "POST", "/", quote)
        assert (status, answer["total_cents"]) == (200, 3824), answer
        for method, path, body, expected in [
            ("POST", "/", "[]", (400, "InvalidRequest")),
            ("GET", "/", None, (405, "MethodNotAllowed")),
            ("POST", "/other", quote, (404, "NotFound")),
        ]:
            status, answer = request(url, service, method, path, body)
            assert (status, answer["error"]["type"]) == expected, answer
    print(f"emulate: {trigger}: deployed, and answers")


main()
