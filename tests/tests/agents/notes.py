"""A small MCP server, spoken to over standard input and output. Its one tool tells of the server's surroundings."""

import json
import os
import sys

TOOL = {
    "name": "surroundings",
    "description": "Tells the environment.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
}


def surroundings(arguments):
    told = {"environment": dict(os.environ), "directory": os.getcwd(), "arguments": sys.argv[1:]}
    try:
        with open(arguments.get("path", "from-the-server"), "w") as file:
            file.write("x")
    except OSError as error:
        told["refused"] = error.strerror
    return {"content": [{"type": "text", "text": "TOLD" + json.dumps(told) + "TOLD"}]}


def answer(method, parameters):
    if method == "initialize":
        about = {"name": "notes", "version": "1"}
        version = parameters["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return surroundings(parameters.get("arguments") or {})
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    result = answer(request["method"], request.get("params") or {})
    if result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
