"""A collector of OTLP over HTTP: writes each span it is sent as a line of JSON. `collector.py PORT_FILE SPANS_FILE`"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PORT, SPANS = Path(sys.argv[1]), Path(sys.argv[2])


class Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = ExportTraceServiceRequest.FromString(body)
        with SPANS.open("a") as file:
            for resource in asked.resource_spans:
                part = {one.key: one.value.string_value for one in resource.resource.attributes}
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    told = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                    ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                    line = {"name": span.name, "kind": span.kind, "status": span.status.code, **ids, "told": told, "of": part}
                    file.write(json.dumps(line) + "\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
PORT.write_text(str(server.server_port))
server.serve_forever()
