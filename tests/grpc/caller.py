"""A gRPC client of the stories, by grpcio: does one thing and prints as JSON what came of it.

caller.py ADDRESS DEED [ARGUMENT ...]
"""

import json
import queue
import sys
import threading
import time

import grpc

address, deed, *arguments = sys.argv[1:]
most = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
channel = grpc.insecure_channel(address, options=most)


def method(kind, name):
    return getattr(channel, kind)("/tide.Story/" + name)


def outcome(call):
    """Runs a unary call and tells its ending."""
    try:
        message, call = call()
        said = {"code": "OK", "message": message.decode()}
    except grpc.RpcError as error:
        call = error
        said = {"code": error.code().name, "details": error.details()}
    said["begins"] = {key: repr(value) for key, value in call.initial_metadata() or ()}
    said["ends"] = {key: repr(value) for key, value in call.trailing_metadata() or ()}
    return said


def unary(name="Unary", message="hello", timeout="", *metadata):
    pairs = tuple(pair.split("=", 1) for pair in metadata)
    call = method("unary_unary", name)
    limit = float(timeout) if timeout else None
    began = time.monotonic()
    said = outcome(lambda: call.with_call(message.encode(), timeout=limit, metadata=pairs))
    return said | {"took": time.monotonic() - began}


def count(number):
    return [message.decode() for message in method("unary_stream", "Count")(number.encode())]


def total(pieces, size):
    call = method("stream_unary", "Total")
    return call(b"y" * int(size) for _ in range(int(pieces))).decode()


def chat(*words):
    """Each word is said only once the answer to the one before has come."""
    said = queue.Queue()
    answers = method("stream_stream", "Chat")(iter(said.get, None))
    heard = []
    for word in words:
        if word.startswith("pause:"):
            time.sleep(float(word.removeprefix("pause:")))
            continue
        said.put(word.encode())
        heard.append(next(answers).decode())
    said.put(None)
    heard.extend(answer.decode() for answer in answers)
    return {"heard": heard, "code": answers.code().name}


def fail_late(message):
    heard = []
    call = method("unary_stream", "FailLate")(message.encode())
    try:
        for piece in call:
            heard.append(piece.decode())
    except grpc.RpcError as error:
        return {"heard": heard, "code": error.code().name, "details": error.details()}
    return {"heard": heard, "code": call.code().name}


def ticks(pause):
    """Listens for as long as there is something to hear; whether the service noticed the end."""
    heard = 0
    before = counted()
    call = method("unary_stream", "Ticks")(pause.encode())
    try:
        for _ in call:
            heard += 1
    except grpc.RpcError as error:
        code, details = error.code().name, error.details()
    else:
        code, details = call.code().name, call.details()
    said = {"heard": heard, "code": code, "details": details}
    return said | {"cancelled": before is not None and comes(lambda: counted() > before)}


def counted():
    """Calls that their service saw cancelled; none: it does not count."""
    try:
        return int(method("unary_unary", "Cancellations")(b""))
    except (grpc.RpcError, ValueError):
        return None


def comes(what):
    for _ in range(100):
        if what():
            return True
        time.sleep(0.05)
    return False


def cancel():
    call = method("unary_unary", "Slow").future(b"30")
    time.sleep(0.3)
    call.cancel()
    counts = method("unary_unary", "Cancellations")
    for _ in range(100):
        if counts(b"") != b"0":
            return {"cancelled": True}
        time.sleep(0.05)
    return {"cancelled": False}


def large(size):
    up = method("stream_unary", "Total")(iter([b"z" * int(size)])).decode()
    down = len(method("unary_unary", "Large")(size.encode()))
    return {"up": up, "down": down}


def many(number, rounds="1"):
    """So many calls at a time; how they ended."""
    ends = {}
    lock = threading.Lock()
    start = threading.Barrier(int(number))

    def work():
        call = method("unary_unary", "Unary")
        start.wait()
        for _ in range(int(rounds)):
            try:
                code = "OK" if call(b"abc") == b"ABC" else "WRONG"
            except grpc.RpcError as error:
                code = f"{error.code().name}: {error.details()}"
            with lock:
                ends[code] = ends.get(code, 0) + 1

    workers = [threading.Thread(target=work) for _ in range(int(number))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return ends


print(json.dumps(globals()[deed](*arguments)), flush=True)
