"""The soak's rule on curves that are made: what it must call growth, and what it must not."""

import math
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import growth  # noqa: E402

MEMORY, THINGS = growth.BOUNDS["memory"], growth.BOUNDS["descriptors"]


def curve(of, seconds=3600, every=5, noise=0.0, seed=1):
    """A series of a function of the time in seconds, with noise."""
    dice = random.Random(seed)
    return [(t, of(t) + dice.gauss(0, noise)) for t in (n * every for n in range(int(seconds / every) + 1))]


class Rule(unittest.TestCase):
    def assert_grows(self, series, bound):
        self.assertTrue(growth.judge(series, bound).why)

    def assert_stays(self, series, bound):
        self.assertEqual(growth.judge(series, bound).why, "")

    def test_what_does_not_move_does_not_grow(self):
        self.assert_stays(curve(lambda t: 9000), MEMORY)
        self.assert_stays(curve(lambda t: 0), THINGS)

    def test_noise_is_no_growth_whatever_its_seed(self):
        for seed in range(30):
            self.assert_stays(curve(lambda t: 20000, noise=3000, seed=seed), MEMORY)
            self.assert_stays(curve(lambda t: 200, noise=20, seed=seed), THINGS)

    def test_a_leak_is_found_below_its_noise(self):
        for seed in range(10):
            self.assert_grows(curve(lambda t: 20000 + 9000 * t / 3600, noise=2000, seed=seed), MEMORY)
            self.assert_grows(curve(lambda t: 100 + 40 * t / 3600, noise=8, seed=seed), THINGS)

    def test_a_leak_that_gallops_is_found_in_half_a_minute(self):
        self.assert_grows(curve(lambda t: 9000 + 1600 * t, seconds=30, every=0.5, noise=300), MEMORY)
        self.assert_grows(curve(lambda t: 30 + 6 * t, seconds=30, every=0.5, noise=4), THINGS)

    def test_a_trifle_in_a_short_run_is_no_growth(self):
        # By the hour it would be 24 MB.
        self.assert_stays(curve(lambda t: 9000 + 400 * t / 60, seconds=60, every=1), MEMORY)

    def test_the_rhythm_of_the_load_is_no_growth_in_a_short_run(self):
        # Two crowds of forty, of which the second comes at the end.
        crowd = lambda t: 10 + 40 * max(0, 1 - abs(t % 30 - 5) / 5)  # noqa: E731
        self.assert_stays(curve(crowd, seconds=36, every=0.6), growth.BOUNDS["sockets"])

    def test_what_rises_to_what_it_needs_does_not_grow(self):
        self.assert_stays(curve(lambda t: 9000 + 20000 * (1 - math.exp(-t / 300)), noise=200), MEMORY)

    def test_steps_and_saw_teeth_are_told_apart(self):
        self.assert_stays(curve(lambda t: 9000 + 8000 * (t % 300) / 300), MEMORY)
        self.assert_grows(curve(lambda t: 9000 + 1000 * (t // 300)), MEMORY)
        # A pool that grows once, late, and keeps what it has: no slope, and within what is allowed as a whole.
        self.assert_stays(curve(lambda t: 9000 + 6000 * (t > 3000)), MEMORY)

    def test_a_rise_before_the_second_half_is_bounded_as_a_whole(self):
        self.assert_grows(curve(lambda t: 9000 + 40000 * (t > 1200)), MEMORY)

    def test_a_folder_more_every_quarter_is_growth(self):
        self.assert_grows(curve(lambda t: 2 + t // 900), growth.BOUNDS["folders"])
        self.assert_stays(curve(lambda t: 2), growth.BOUNDS["folders"])

    def test_long_runs_are_judged_by_as_many_points(self):
        week = curve(lambda t: 20000 + 6000 * t / 3600, seconds=7 * 24 * 3600, every=30, noise=500)
        self.assertLessEqual(len(growth.thinned(week)), growth.POINTS)
        self.assert_grows(week, MEMORY)

    def test_a_series_of_few_points_has_no_slope(self):
        self.assertEqual(growth.slope([(0, 1), (1, 2)]), (0.0, 0.0))

    def test_it_is_shown(self):
        rising = curve(lambda t: t)
        self.assertEqual((growth.line(rising)[0], growth.line(rising)[-1]), ("▁", "█"))
        self.assertEqual(set(growth.line(curve(lambda t: 5))), {"▁"})
        picture = growth.svg([("Memory", "MB", {"one": rising, "two": rising})])
        self.assertEqual((picture.count("<polyline"), picture.count("</svg>")), (2, 1))


if __name__ == "__main__":
    unittest.main()
