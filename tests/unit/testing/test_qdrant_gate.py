"""Many readers pass the gate at once; whoever changes what they read is alone."""

import threading

from vecferry.testing.qdrant_server.gate import Gate

WAIT_S = 30.0


def test_two_readers_are_inside_at_once() -> None:
    gate = Gate()
    both = threading.Barrier(2, timeout=WAIT_S)

    def read() -> None:
        with gate.shared():
            both.wait()

    thread = threading.Thread(target=read)
    thread.start()
    read()
    thread.join(WAIT_S)
    assert not both.broken


def test_the_exclusive_holder_waits_for_readers_and_keeps_new_ones_out() -> None:
    gate = Gate()
    steps: list[str] = []
    changing = threading.Event()

    def change() -> None:
        changing.set()
        with gate.exclusive():
            steps.append("changed")

    def read() -> None:
        with gate.shared():
            steps.append("read after")

    changer, late = threading.Thread(target=change), threading.Thread(target=read)
    with gate.shared():
        changer.start()
        assert changing.wait(WAIT_S)
        while not gate._waiting:
            threading.Event().wait(0.01)
        late.start()
        late.join(0.1)
        steps.append("first reader leaves")
    changer.join(WAIT_S)
    late.join(WAIT_S)

    assert steps == ["first reader leaves", "changed", "read after"]
