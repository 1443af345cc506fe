"""A gRPC service of the stories, by grpcio: methods of every kind, messages of plain bytes.

Prints `listening on PORT`. With `--cert CERT KEY` it speaks TLS.
"""

import json
import sys
import threading
import time
from concurrent import futures

import grpc

cancelled = 0
lock = threading.Lock()


def unary(message, context):
    context.send_initial_metadata((("x-begins", "here"),))
    context.set_trailing_metadata((("x-ends", "there"), ("x-bytes-bin", b"\x00\xff")))
    return message.upper()


def count(message, context):
    for number in range(int(message)):
        yield b"%d" % number


def total(messages, context):
    return b"%d" % sum(len(message) for message in messages)


def chat(messages, context):
    for message in messages:
        yield b"you said " + message


def fail(message, context):
    code, words = message.decode().split(" ", 1)
    context.abort(getattr(grpc.StatusCode, code), words)


def fail_late(message, context):
    yield b"something"
    code, words = message.decode().split(" ", 1)
    context.abort(getattr(grpc.StatusCode, code), words)


def told(message, context):
    metadata = {key: repr(value) for key, value in context.invocation_metadata()}
    left = context.time_remaining()
    return json.dumps({"metadata": metadata, "left": left, "peer": context.peer()}).encode()


def slow(message, context):
    global cancelled
    gone = threading.Event()
    context.add_callback(gone.set)
    if gone.wait(float(message)):
        with lock:
            cancelled += 1
    return b"late"


def ticks(message, context):
    """Sends a message each so many seconds until its client is gone."""
    gone = threading.Event()

    def over():
        # Here and not behind the loop: who is gone asks for no further message.
        global cancelled
        with lock:
            cancelled += 1
        gone.set()

    context.add_callback(over)
    yield b"tick"
    while not gone.wait(float(message)):
        yield b"tick"


def cancellations(message, context):
    with lock:
        return b"%d" % cancelled


def large(message, context):
    return b"x" * int(message)


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Told": grpc.unary_unary_rpc_method_handler(told),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Ticks": grpc.unary_stream_rpc_method_handler(ticks),
    "Cancellations": grpc.unary_unary_rpc_method_handler(cancellations),
    "Large": grpc.unary_unary_rpc_method_handler(large),
}


def main():
    most = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(160), options=most)
    handler = grpc.method_handlers_generic_handler("tide.Story", METHODS)
    server.add_generic_rpc_handlers((handler,))
    if sys.argv[1:2] == ["--cert"]:
        cert, key = (open(name, "rb").read() for name in sys.argv[2:4])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("listening on", port, flush=True)
    server.wait_for_termination()


main()
