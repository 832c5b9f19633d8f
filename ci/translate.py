"""What CloudFormation gets of a SAM template: prints that of the file that it is given."""

import json
import logging
import os
import sys
from pathlib import Path

# Partitions are told by the region.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    def load(self):
        return {}


def translate(file, code="s3://code/function"):
    # The translator tells of switches of its own.
    logging.disable(logging.WARNING)
    template = yaml_parse(Path(file).read_text())
    template["Resources"]["Function"]["Properties"]["CodeUri"] = code
    return transform(template, {}, NoManagedPolicies())


if __name__ == "__main__":
    print(json.dumps(translate(sys.argv[1])))
