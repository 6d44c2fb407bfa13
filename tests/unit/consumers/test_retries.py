from vecferry.consumers.retries import Backoff


def test_pauses_double_up_to_the_limit_with_half_of_each_random() -> None:
    backoff = Backoff(30.0, seed=1)
    for tries in range(12):
        whole = min(30.0, 0.1 * 2**tries)
        pauses = {backoff.pause_s(tries) for _ in range(20)}
        assert len(pauses) > 1
        assert all(whole / 2 <= pause <= whole for pause in pauses)


def test_what_the_other_side_asked_for_is_never_shortened() -> None:
    assert Backoff(1.0, seed=1).pause_s(3, retry_after_s=120.0) == 120.0


def test_many_failures_do_not_overflow() -> None:
    assert Backoff(30.0, seed=1).pause_s(10**6) <= 30.0
