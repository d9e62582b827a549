"""Numbers as people read them."""

from xstilts import units


def test_sizes_of_files():
    shown = [units.size(n) for n in (0, 999, 2.24e9, 4e12)]
    assert shown == ["", "999 B", "2.2 GB", "4.0 TB"]


def test_durations_have_the_largest_fitting_unit():
    shown = [units.duration(n) for n in (45, 600, 5400, 36000, 1e6)]
    assert shown == ["45 s", "10 min", "1.5 h", "10 h", "12 d"]


def test_job_time_is_never_in_days():
    assert [units.hours(n) for n in (0.002, 0.25, 1, 1234)] == ["7 s", "15 min", "1.0 h", "1,234 h"]


def test_slow_rates_are_seconds_per_step():
    shown = [units.rate(n, "step") for n in (0, 0.4, 1.25, 12.3)]
    assert shown == ["0.0 steps/s", "2.5 s/step", "1.2 steps/s", "12 steps/s"]


def test_a_single_thing_is_singular():
    assert [units.count(n, "cell") for n in (0, 1, 1200)] == ["0 cells", "1 cell", "1,200 cells"]


def test_shares_are_percent():
    assert [units.percent(n) for n in (0, 0.123, 1)] == ["0 %", "12 %", "100 %"]
