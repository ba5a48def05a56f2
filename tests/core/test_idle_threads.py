"""How threads of a computation wait for each other."""

from __future__ import annotations

from microscope_qc.core.idle_threads import let_idle_threads_sleep


def test_they_sleep_after_a_moment() -> None:
    environment: dict[str, str] = {}
    let_idle_threads_sleep(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE" and int(environment["GOMP_SPINCOUNT"]) > 0


def test_what_the_user_set_stays() -> None:
    for chosen in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "PASSIVE"}):
        environment = dict(chosen)
        let_idle_threads_sleep(environment)
        assert environment == chosen
    environment = {"GOMP_SPINCOUNT": "7"}
    let_idle_threads_sleep(environment)
    assert environment["GOMP_SPINCOUNT"] == "7"
