"""The agent's HTTP interface as an OpenAPI document.

Owns its derivation from the protobuf descriptors, so that it cannot differ from what is served.
Refuses to know what the calls do. `python -m wavemq.agent.description` writes it.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from wavemq.agent.calls import UNARY

VERSION: Final = "0.4.2"
_REFERENCE: Final = "#/components/schemas/"
_SCALARS: Final[dict[int, dict[str, str]]] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
}


def describe() -> dict[str, Any]:
    """Return the document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for call in UNARY:
        request, response = _descriptor(call.request), _descriptor(call.response)
        for descriptor in (request, response):
            _add(schemas, descriptor)
        paths[call.path] = {
            "post": {
                "operationId": call.name,
                "requestBody": {"content": _content(request), "required": False},
                "responses": {
                    "200": {
                        "description": "The answer; what went wrong stands in its field error.",
                        "content": _content(response),
                    },
                    "400": {"description": "The request is not JSON of this call."},
                },
            }
        }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "WAVE agent",
            "version": VERSION,
            "description": "Fields that have their default value are left out of answers. "
            "Times are milliseconds since the epoch; hashes are multihashes of 34 bytes.",
        },
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _descriptor(kind: type[Message]) -> Descriptor:
    return cast("Descriptor", kind.DESCRIPTOR)  # or the compiled parser's, which is alike


def _content(descriptor: Descriptor) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE + descriptor.name}}}


def _add(schemas: dict[str, Any], descriptor: Descriptor) -> None:
    """Add a message and all that it consists of."""
    if descriptor.name in schemas:
        return
    schemas[descriptor.name] = schema = {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    schema["properties"] = {field.name: _field(schemas, field) for field in descriptor.fields}


def _field(schemas: dict[str, Any], field: FieldDescriptor) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {
            "type": "object",
            "additionalProperties": _value(schemas, message.fields_by_name["value"]),
        }
    value = _value(schemas, field)
    return {"type": "array", "items": value} if field.is_repeated else value


def _value(schemas: dict[str, Any], field: FieldDescriptor) -> dict[str, Any]:
    if field.message_type is not None:
        _add(schemas, field.message_type)
        return {"$ref": _REFERENCE + field.message_type.name}
    return dict(_SCALARS[field.type])


def to_text() -> str:
    """Return the document as it is committed, in docs/reference/agent-api.json."""
    return json.dumps(describe(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(to_text())
