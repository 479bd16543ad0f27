"""Stands in for the command `aws`: takes what a script asks for, against botocore's model of the service."""
import json
import sys

import botocore.session
from botocore.validate import ParamValidator


def faults(shape, value, path):
    """What botocore leaves to the service: values of enumerations."""
    if shape.type_name == "structure":
        return [f for key, one in value.items() for f in faults(shape.members[key], one, f"{path}.{key}")]
    if shape.type_name == "list":
        return [f for one in value for f in faults(shape.member, one, path)]
    if shape.type_name == "string" and shape.enum and value not in shape.enum:
        return [f"{path}: {value} is none of {shape.enum}"]
    return []


def check(command, request):
    service = botocore.session.get_session().get_service_model("application-autoscaling")
    name = "".join(word.title() for word in command.split("-"))
    shape = service.operation_model(name).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        return [report.generate_report()]
    return faults(shape, request, name)


_, service, command, flag, request = sys.argv
assert (service, flag) == ("application-autoscaling", "--cli-input-json"), sys.argv
request = json.loads(request)
found = check(command, request)
# A check that takes anything proves nothing.
for wrong in ({**request, "NotAField": 1}, {**request, "ServiceNamespace": "nowhere"}, {**request, "ResourceId": 1}):
    if not check(command, wrong):
        found.append(f"{command}: the model takes anything")
if found:
    sys.exit("; ".join(found))
print(command)
