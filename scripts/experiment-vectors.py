#!/usr/bin/env python3
"""Writes crates/stats/tests/vectors/experiment/*.csv: what independent software says.

Two environments, because gbstats needs an older numpy than savvi:

    python3 -m venv /tmp/vectors-a && /tmp/vectors-a/bin/pip install \\
        scipy==1.17.1 statsmodels==0.15.0 gbstats==0.8.0
    python3 -m venv /tmp/vectors-b && /tmp/vectors-b/bin/pip install \\
        savvi==0.3.1 cvxpy matplotlib py-markdown-table
    /tmp/vectors-a/bin/python scripts/experiment-vectors.py main
    /tmp/vectors-b/bin/python scripts/experiment-vectors.py savvi

Known differences, where the other software is not followed:
- gbstats tests the relative effect by the delta method, so its relative p-value differs from the
  absolute one; only absolute results are compared, and intervals of the lift come from scipy.
- gbstats takes the slope of CUPED from both arms pooled together, with the effect in it; here it is
  the one within arms, which is what a regression on arm and covariate finds (statsmodels).
- gbstats has no factor n/(n - 1) in the variance of proportions, and (n - 1)/n too much in that of
  quantiles; the sums of means are compared, and the variance of quantiles without that factor.
- statsmodels' score interval does not take the most likely proportions exactly (its end for 12/100
  against 5/90 has a score of 1.9583); they are solved for with scipy.
- gbstats has the same confidence sequence (Waudby-Smith et al., equations 9, 155 and 161), rho
  from the planned units included; two-sided only, so one side is tested in simulation.
- gbstats 0.8.0 has no post-stratification and no covariate for ratios; statsmodels is used.
- gbstats' SRM test counts arms without weight among the degrees of freedom; scipy is used.
"""

import csv
import math
import pathlib
import sys
from importlib.metadata import version

import numpy as np

OUT = pathlib.Path(__file__).parent.parent / "crates/stats/tests/vectors/experiment"
RNG = np.random.default_rng(20250101)


def write(name, source, packages, tolerance, columns, rows):
    OUT.mkdir(parents=True, exist_ok=True)
    # An entry with a blank is a package of another language and its version.
    versions = ", ".join(p if " " in p else f"{p} {version(p)}" for p in packages)
    with open(OUT / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        file.write(f"# source: {source}\n# version: {versions}\n")
        file.write(f"# command: python scripts/experiment-vectors.py {sys.argv[1]}\n")
        file.write(f"# tolerance: {tolerance} relative\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(
            [repr(float(cell)) if isinstance(cell, float) else cell for cell in row] for row in rows
        )


def sums(*columns):
    """Units, sums and products of integer columns, upper triangle by rows, as text."""
    columns = [[int(value) for value in column] for column in columns]
    products = [
        sum(a * b for a, b in zip(x, y)) for i, x in enumerate(columns) for y in columns[i:]
    ]
    return " ".join(map(str, [len(columns[0]), *map(sum, columns), *products]))


def welch():
    from scipy import stats

    rows = []
    shapes = [(2, 3), (5, 40), (30, 30), (150, 260), (1000, 90), (40_000, 60_000)]
    for n_t, n_c in shapes:
        t = RNG.lognormal(3, 1, n_t).round().astype(int) + (n_t < 4) * np.arange(n_t)
        c = RNG.lognormal(3.05, 0.8, n_c).round().astype(int)
        moments = t.mean(), t.std(ddof=1), n_t, c.mean(), c.std(ddof=1), n_c
        for side in ("two-sided", "greater", "less"):
            for alpha in (0.05, 0.001):
                test = stats.ttest_ind_from_stats(*moments, equal_var=False, alternative=side)
                raw = stats.ttest_ind(t, c, equal_var=False, alternative=side)
                interval = raw.confidence_interval(1 - alpha)
                error = math.hypot(moments[1] / n_t**0.5, moments[4] / n_c**0.5)
                rows.append(
                    (sums(t), sums(c), side, alpha, float(t.mean() - c.mean()), error)
                    + (float(raw.df), float(test.pvalue), float(interval.low), float(interval.high))
                )
    columns = "treatment control side alpha difference error degrees p_value low high".split()
    source = "scipy.stats.ttest_ind(equal_var=False) and its confidence_interval"
    write("welch", source, ["scipy", "numpy"], "2e-9", columns, rows)


def fieller():
    """Ends of the lift where the Welch statistic of T - c*C, with its degrees at c = 1, is t."""
    from scipy import optimize, stats

    rows = []
    for n_t, n_c in [(50, 60), (500, 400), (30_000, 30_000)]:
        for mean in (40.0, -40.0):
            t = (mean * 1.1 + RNG.normal(0, 25, n_t)).round().astype(int)
            c = (mean + RNG.normal(0, 25, n_c)).round().astype(int)
            v_t, v_c = t.var(ddof=1) / n_t, c.var(ddof=1) / n_c
            df = (v_t + v_c) ** 2 / (v_t**2 / (n_t - 1) + v_c**2 / (n_c - 1))
            critical = stats.t.ppf(0.975, df)

            def excess(lift):
                factor = 1 + lift * math.copysign(1, c.mean())
                z = (t.mean() - factor * c.mean()) / math.sqrt(v_t + factor**2 * v_c)
                return abs(z) - critical

            centre = (t.mean() - c.mean()) / abs(c.mean())
            low = optimize.brentq(excess, centre - 2, centre, xtol=1e-14)
            high = optimize.brentq(excess, centre, centre + 2, xtol=1e-14)
            rows.append((sums(t), sums(c), float(centre), low, high))
    columns = ["treatment", "control", "lift", "low", "high"]
    source = "scipy.optimize.brentq of the t statistic of T - c*C"
    write("fieller", source, ["scipy", "numpy"], "1e-8", columns, rows)


def score_interval(x_t, n_t, x_c, n_c):
    """Differences whose score statistic at the most likely proportions is within 1.96."""
    from scipy import optimize, stats

    def score(delta):
        def slope(p):
            likelihoods = ((x_t, n_t, p + delta), (x_c, n_c, p))
            return sum(x / rate - (n - x) / (1 - rate) for x, n, rate in likelihoods)

        ends = max(0, -delta) + 1e-13, min(1, 1 - delta) - 1e-13
        p_c = optimize.brentq(slope, *ends, xtol=1e-16, rtol=1e-14)
        p_t = p_c + delta
        error = math.sqrt(p_t * (1 - p_t) / n_t + p_c * (1 - p_c) / n_c)
        return (x_t / n_t - x_c / n_c - delta) / error

    centre, z = x_t / n_t - x_c / n_c, stats.norm.ppf(0.975)
    low = optimize.brentq(lambda delta: score(delta) - z, -0.95, centre, xtol=1e-14)
    high = optimize.brentq(lambda delta: score(delta) + z, centre, 0.95, xtol=1e-14)
    return low, high


def proportions():
    from statsmodels.stats.proportion import confint_proportions_2indep as interval
    from statsmodels.stats.proportion import proportions_ztest

    rows = []
    counts = [(12, 100, 5, 90), (56, 70, 48, 80), (530, 10_000, 470, 9_800), (3, 40, 11, 35)]
    counts += [(10_200, 200_000, 10_000, 200_000), (205, 3000, 190, 3100)]
    for x_t, n_t, x_c, n_c in counts:
        row = [x_t, n_t, x_c, n_c]
        z, p = proportions_ztest([x_t, x_c], [n_t, n_c])
        row += [float(z), float(p)]
        for side in ("larger", "smaller"):
            row.append(float(proportions_ztest([x_t, x_c], [n_t, n_c], alternative=side)[1]))
        for method in ("wald", "newcomb"):
            row += map(float, interval(x_t, n_t, x_c, n_c, method=method))
        row += map(float, score_interval(x_t, n_t, x_c, n_c))
        rows.append(row)
    columns = "x_t n_t x_c n_c z p_two p_greater p_less wald_low wald_high".split()
    columns += "newcombe_low newcombe_high score_low score_high".split()
    source = "statsmodels proportions_ztest, confint_proportions_2indep; scipy brentq for the score"
    write("proportions", source, ["statsmodels", "scipy"], "1e-8", columns, rows)


def mean_statistic(x):
    from gbstats.models.statistics import SampleMeanStatistic

    return SampleMeanStatistic(n=len(x), sum=int(x.sum()), sum_squares=int((x * x).sum()))


def ratio():
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.models.statistics import RatioStatistic

    rows = []
    for n in (60, 2000, 50_000):
        arms = []
        for lift in (1.05, 1.0):
            d = RNG.poisson(4, n) + 1
            m = RNG.poisson(d * 3 * lift)
            arms.append((m, d))
        statistics = [
            RatioStatistic(
                n=n,
                m_statistic=mean_statistic(m),
                d_statistic=mean_statistic(d),
                m_d_sum_of_products=int((m * d).sum()),
            )
            for m, d in arms
        ]
        config = FrequentistConfig(difference_type="absolute")
        result = TwoSidedTTest(statistics[1], statistics[0], config).compute_result()
        rows.append(
            (sums(*arms[0]), sums(*arms[1]), statistics[0].mean, statistics[1].mean)
            + (float(result.uplift.stddev), float(result.p_value), *map(float, result.ci))
        )
    columns = ["treatment", "control", "value_t", "value_c", "error", "p_value", "low", "high"]
    source = "gbstats TwoSidedTTest of RatioStatistic, absolute"
    write("ratio", source, ["gbstats", "scipy"], "1e-7", columns, rows)


def cuped():
    import statsmodels.api as sm
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.models.statistics import RegressionAdjustedStatistic

    rows = []
    for n_t, n_c in [(80, 100), (3000, 2000), (40_000, 10_000)]:
        arms = []
        for n, effect in ((n_t, 3), (n_c, 0)):
            x = RNG.gamma(2, 20, n).round().astype(int)
            y = (0.8 * x + effect + RNG.normal(0, 12, n)).round().astype(int)
            arms.append((y, x))
        y, x = (np.concatenate([arm[i] for arm in arms]) for i in (0, 1))
        arm = np.repeat([1, 0], [n_t, n_c])
        fit = sm.OLS(y, np.column_stack([np.ones(len(y)), arm, x])).fit()
        theta = float(fit.params[2])
        statistics = [
            RegressionAdjustedStatistic(
                n=len(y),
                post_statistic=mean_statistic(y),
                pre_statistic=mean_statistic(x),
                post_pre_sum_of_products=int((y * x).sum()),
                theta=theta,
            )
            for y, x in arms
        ]
        test = TwoSidedTTest(
            statistics[1], statistics[0], FrequentistConfig(difference_type="absolute")
        )
        for statistic in (test.stat_a, test.stat_b):
            statistic.theta = theta
        result = test.compute_result()
        rows.append(
            (sums(*arms[0]), sums(*arms[1]), theta, float(fit.params[1]))
            + (float(result.uplift.stddev), float(result.p_value), *map(float, result.ci))
        )
    columns = ["treatment", "control", "theta", "difference", "error", "p_value", "low", "high"]
    source = "statsmodels OLS (theta, difference); gbstats RegressionAdjustedStatistic with it"
    write("cuped", source, ["statsmodels", "gbstats", "scipy"], "1e-7", columns, rows)


def cuped_ratio():
    """Linearised by arm; theta and the difference by OLS on the linearised values."""
    import statsmodels.api as sm

    rows = []
    for n in (200, 20_000):
        arms, linear = [], []
        for lift in (1.04, 1.0):
            rate = RNG.gamma(4, 0.8, n)
            d, d0 = RNG.poisson(4, n) + 1, RNG.poisson(4, n) + 1
            m, m0 = RNG.poisson(d * rate * lift), RNG.poisson(d0 * rate)
            arms.append((m, d, m0, d0))
            pair = []
            for numerator, denominator in ((m, d), (m0, d0)):
                value = numerator.sum() / denominator.sum()
                pair.append(value + (numerator - value * denominator) / denominator.mean())
            linear.append(pair)
        y, x = (np.concatenate([arm[i] for arm in linear]) for i in (0, 1))
        arm = np.repeat([1, 0], n)
        fit = sm.OLS(y, np.column_stack([np.ones(2 * n), arm, x])).fit()
        theta = fit.params[2]
        error = math.sqrt(sum((y - theta * x).var(ddof=1) / n for y, x in linear))
        rows.append((sums(*arms[0]), sums(*arms[1]), float(theta), float(fit.params[1]), error))
    columns = ["treatment", "control", "theta", "difference", "error"]
    source = "statsmodels OLS on linearised ratios"
    write("cuped_ratio", source, ["statsmodels", "numpy"], "1e-7", columns, rows)


def sequence():
    from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest

    rows = []
    for n in (100, 1000, 20_000):
        t = RNG.normal(103, 20, n).round().astype(int)
        c = RNG.normal(100, 22, n + 50).round().astype(int)
        for planned in (500, 5000, 100_000):
            for alpha in (0.05, 0.01):
                config = SequentialConfig(
                    difference_type="absolute", alpha=alpha, sequential_tuning_parameter=planned
                )
                test = SequentialTwoSidedTTest(mean_statistic(c), mean_statistic(t), config)
                result = test.compute_result()
                p_value, (low, high) = float(result.p_value), map(float, result.ci)
                rows.append((sums(t), sums(c), planned, alpha, p_value, low, high))
    columns = ["treatment", "control", "planned", "alpha", "p_value", "low", "high"]
    source = "gbstats SequentialTwoSidedTTest, absolute"
    write("sequence", source, ["gbstats", "scipy"], "1e-8", columns, rows)


def bayes():
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior

    rows = []
    for n, effect in ((60, 6), (800, 1), (800, -3), (20_000, 0.3)):
        t = RNG.normal(100 + effect, 20, n).round().astype(int)
        c = RNG.normal(100, 22, n).round().astype(int)
        for scale in ("absolute", "relative"):
            for prior in ((0.0, 0.3, True), (0.02, 0.05, True), (0.0, 1.0, False)):
                for inverse in (False, True):
                    config = EffectBayesianConfig(
                        difference_type=scale,
                        inverse=inverse,
                        prior_effect=GaussianPrior(prior[0], prior[1] ** 2, prior[2]),
                    )
                    result = EffectBayesianABTest(
                        mean_statistic(c), mean_statistic(t), config
                    ).compute_result()
                    rows.append(
                        (sums(t), sums(c), scale, prior[0], prior[1] if prior[2] else "flat")
                        + ("lower" if inverse else "higher", float(result.uplift.mean))
                        + (float(result.uplift.stddev), float(result.chance_to_win))
                        # For inverse metrics gbstats swaps the two.
                        + (float(result.risk[0]), float(result.risk[1]), *map(float, result.ci))
                    )
    columns = "treatment control scale prior_mean prior_deviation better mean deviation".split()
    columns += "chance risk_control risk_treatment low high".split()
    source = "gbstats EffectBayesianABTest"
    write("bayes", source, ["gbstats", "scipy"], "1e-6", columns, rows)


def beta():
    from scipy import integrate, special, stats

    rows = []
    counts = [(1, 3, 0, 4), (12, 100, 5, 90), (0, 20, 0, 30), (60, 900, 45, 1000)]
    counts += [(5_300, 100_000, 5_100, 100_000), (3, 50, 4_000, 100_000)]
    for x_t, n_t, x_c, n_c in counts:
        for prior in (1.0, 0.5):
            t = stats.beta(prior + x_t, prior + n_t - x_t)
            c = stats.beta(prior + x_c, prior + n_c - x_c)
            # In u = ln(x/(1 - x)), cut where the mass is, so that the adaptive rule finds it.
            ends = [d.ppf(q) for d in (t, c) for q in (1e-25, 1e-6, 0.5)]
            ends += [d.isf(q) for d in (t, c) for q in (1e-15, 1e-6)]
            cuts = sorted(float(special.logit(end)) for end in ends)

            def integral(f):
                def slope(u):
                    x = special.expit(u)
                    return f(x) * x * (1 - x)

                return sum(
                    integrate.quad(slope, a, b, epsabs=1e-15, epsrel=1e-12, limit=400)[0]
                    for a, b in zip(cuts, cuts[1:])
                )

            chance = integral(lambda x: t.pdf(x) * c.cdf(x))
            loss_t = integral(lambda x: t.cdf(x) * c.sf(x))
            loss_c = integral(lambda x: c.cdf(x) * t.sf(x))
            rows.append((x_t, n_t, x_c, n_c, prior, chance, loss_t, loss_c))
    columns = "x_t n_t x_c n_c prior chance loss_treatment loss_control".split()
    source = "scipy.integrate.quad over scipy.stats.beta"
    write("beta", source, ["scipy"], "1e-7", columns, rows)


def bandit():
    from scipy import integrate, stats

    rows = []
    for arms in ([(0, 1), (0.5, 1)], [(1, 0.1), (1.05, 0.2), (0.9, 0.5)], [(3, 2)] * 4 + [(2, 5)]):
        laws = [stats.norm(mean, deviation) for mean, deviation in arms]
        weights = []
        for i, law in enumerate(laws):

            def density(x):
                others = (other.cdf(x) for j, other in enumerate(laws) if j != i)
                return law.pdf(x) * math.prod(others)

            low, high = law.mean() - 12 * law.std(), law.mean() + 12 * law.std()
            weights.append(integrate.quad(density, low, high, epsabs=1e-13, limit=400)[0])
        rows.append(
            (" ".join(str(a[0]) for a in arms), " ".join(str(a[1]) for a in arms))
            + (" ".join(repr(float(w)) for w in weights),)
        )
    source = "scipy.integrate.quad over scipy.stats.norm"
    write("bandit", source, ["scipy"], "1e-8", ["means", "deviations", "weights"], rows)


def group_sequential():
    """ldbounds by its published figures; three looks by scipy's multivariate normal."""
    from scipy import optimize, stats

    def spent(kind, t, alpha):
        if kind == "pocock":
            return alpha * math.log(1 + (math.e - 1) * t)
        return 4 - 4 * stats.norm.cdf(stats.norm.isf(alpha / 4) / math.sqrt(t))

    published = {
        "obrien-fleming": "4.8769 3.3570 2.6803 2.2898 2.0310",
        "pocock": "2.4380 2.4268 2.4102 2.3966 2.3860",
    }
    rows = [(kind, 0.05, "0.2 0.4 0.6 0.8 1.0", bounds) for kind, bounds in published.items()]
    write(
        "group_sequential_published",
        "R package ldbounds, two-sided, four decimals",
        ["ldbounds 2.0.2"],
        "3e-5",
        ["spending", "alpha", "fractions", "bounds"],
        rows,
    )
    rows = []
    for kind in published:
        for alpha in (0.05, 0.01):
            for fractions in ((0.5, 1.0), (0.2, 0.5, 1.0), (0.6, 0.7, 0.9)):
                bounds = [stats.norm.isf(spent(kind, fractions[0], alpha) / 2)]
                for k in range(1, len(fractions)):
                    t = np.array(fractions[: k + 1])
                    cov = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
                    law = stats.multivariate_normal(np.zeros(k + 1), cov, seed=1)
                    law.abseps = law.releps = 1e-10

                    def excess(bound):
                        upper = np.array([*bounds, bound])
                        inside = law.cdf(upper, lower_limit=-upper)
                        return 1 - inside - spent(kind, fractions[k], alpha)

                    bounds.append(optimize.brentq(excess, 1, 6, xtol=1e-10))
                rows.append(
                    (kind, alpha, " ".join(map(str, fractions)))
                    + (" ".join(repr(float(bound)) for bound in bounds),)
                )
    source = "scipy.stats.multivariate_normal.cdf and brentq, two-sided"
    columns = ["spending", "alpha", "fractions", "bounds"]
    write("group_sequential", source, ["scipy"], "1e-5", columns, rows)


def srm():
    from scipy import stats

    rows = []
    for counts, weights in [
        ((5200, 4800), (0.5, 0.5)),
        ((1000, 2100, 2950), (1, 2, 3)),
        ((100_000, 100_900, 99_500, 99_800), (1, 1, 1, 1)),
        ((12, 30), (1, 2)),
    ]:
        expected = np.array(weights) / sum(weights) * sum(counts)
        test = stats.chisquare(counts, expected)
        rows.append(
            (" ".join(map(str, counts)), " ".join(map(str, weights)))
            + (float(test.statistic), float(test.pvalue))
        )
    columns = ["counts", "weights", "statistic", "p_value"]
    write("srm", "scipy.stats.chisquare", ["scipy"], "1e-8", columns, rows)


def multiple():
    from statsmodels.stats.multitest import multipletests

    rows = []
    for p in ([0.01, 0.04, 0.03, 0.005], [0.2], [0.001] * 3 + [0.9], list(RNG.random(12) ** 3)):
        cells = [" ".join(repr(float(value)) for value in p)]
        for method in ("holm", "fdr_bh"):
            adjusted = multipletests(p, method=method)[1]
            cells.append(" ".join(repr(float(value)) for value in adjusted))
        rows.append(cells)
    columns = ["p_values", "holm", "benjamini_hochberg"]
    write("multiple", "statsmodels multipletests", ["statsmodels"], "1e-12", columns, rows)


def power():
    from statsmodels.stats.power import NormalIndPower

    rows = []
    sides = {"two-sided": "two-sided", "greater": "larger"}
    for side, name in sides.items():
        for share in (0.5, 0.2):
            for alpha, target in ((0.05, 0.8), (0.01, 0.95)):
                for lift in (0.01, 0.1):
                    mean, deviation = 50.0, 30.0
                    size = mean * lift / deviation
                    # The ratio counts the control by units of the treatment.
                    ratio = (1 - share) / share
                    first = NormalIndPower().solve_power(
                        size, alpha=alpha, power=target, ratio=ratio, alternative=name
                    )
                    reached = NormalIndPower().power(size, 500, alpha, ratio, alternative=name)
                    rows.append(
                        (side, share, alpha, target, mean, deviation, lift)
                        + (float(first * (1 + ratio)), float(500 * (1 + ratio)), float(reached))
                    )
    columns = "side share alpha power mean deviation lift units other_units other_power".split()
    source = "statsmodels NormalIndPower"
    write("power", source, ["statsmodels", "scipy"], "1e-6", columns, rows)


def quantile():
    """Events as value:unit; the variance of gbstats without its factor (n - 1)/n."""
    from gbstats.models.statistics import QuantileClusteredStatistic
    from scipy import stats

    rows = []
    for n_units, nu in ((120, 0.5), (120, 0.9), (300, 0.75)):
        per_unit = RNG.integers(1, 5, n_units)
        own = RNG.normal(0, 15, n_units)
        unit = np.repeat(np.arange(n_units), per_unit)
        value = (own[unit] + RNG.gamma(2, 20, len(unit)) + 50).round(3)
        n, ordered = len(unit), np.sort(value)
        spread = stats.norm.ppf(0.975) * math.sqrt(nu * (1 - nu) / n)
        at = lambda q: float(ordered[math.ceil(q * n) - 1])
        below = np.bincount(unit, value <= at(nu))
        statistic = QuantileClusteredStatistic(
            n=n,
            n_star=n,
            nu=nu,
            quantile_hat=at(nu),
            quantile_lower=at(nu - spread),
            quantile_upper=at(nu + spread),
            main_sum=float(below.sum()),
            main_sum_squares=float((below**2).sum()),
            denominator_sum=float(n),
            denominator_sum_squares=float((per_unit**2).sum()),
            main_denominator_sum_product=float((below * per_unit).sum()),
            n_clusters=n_units,
        )
        error = math.sqrt(statistic.variance / n * n / (n - 1))
        rows.append(
            (nu, " ".join(map(str, value)), " ".join(map(str, unit)), statistic.mean, error)
        )
    columns = ["nu", "values", "units", "value", "error"]
    source = "gbstats QuantileClusteredStatistic"
    write("quantile", source, ["gbstats", "scipy"], "1e-9", columns, rows)


def shrinkage():
    from scipy import optimize, stats

    rows = []
    for critical in (1.6448536269514722, 2.5):
        for z in (critical + 0.2, critical + 0.7, critical + 2.0):
            mean = lambda mu: stats.truncnorm.mean(critical - mu, math.inf, loc=mu) - z
            # Below 0 the estimate is 0.
            estimate = 0.0 if mean(0) >= 0 else float(optimize.brentq(mean, 0, z, xtol=1e-13))
            rows.append((critical, z, estimate))
    source = "scipy.optimize.brentq of scipy.stats.truncnorm.mean, one-sided"
    write("shrinkage", source, ["scipy"], "1e-7", ["critical", "z", "estimate"], rows)


def stratified():
    """Cells are sums of `treatment|control`. OLS on arm, strata and both, the strata centred, finds
    the effect weighted by all units; HC2 is exact for it. Shares of strata are estimated as well."""
    import statsmodels.api as sm

    rows = []
    for n, shares in ((400, (0.5, 0.3, 0.2)), (6000, (0.7, 0.3)), (50_000, (0.4, 0.3, 0.2, 0.1))):
        stratum = RNG.choice(len(shares), n, p=shares)
        arm = RNG.integers(0, 2, n)
        effect = 2 + 3 * stratum
        y = (30 + 25 * stratum + arm * effect + RNG.normal(0, 12, n)).round().astype(int)
        dummies = np.column_stack([stratum == k for k in range(1, len(shares))]).astype(float)
        centred = dummies - dummies.mean(axis=0)
        x = np.column_stack([np.ones(n), arm, centred, centred * arm[:, None]])
        fit = sm.OLS(y, x).fit(cov_type="HC2")
        difference = float(fit.params[1])
        share_variance = 0.0
        for k in range(len(shares)):
            inside = stratum == k
            own = y[inside & (arm == 1)].mean() - y[inside & (arm == 0)].mean()
            share_variance += inside.mean() * (own - difference) ** 2 / n
        error = math.sqrt(float(fit.bse[1]) ** 2 + share_variance)
        cells = (
            "|".join(sums(y[(stratum == k) & (arm == which)]) for which in (1, 0))
            for k in range(len(shares))
        )
        rows.append((";".join(cells), difference, error))
    columns = ["cells", "difference", "error"]
    source = "statsmodels OLS with interactions, HC2, and the variance of shares"
    write("stratified", source, ["statsmodels", "numpy"], "1e-9", columns, rows)


def savvi_counts():
    from savvi.multinomial import InhomogeneousPoissonProcess, Multinomial

    rows = []
    for counts, weights in [
        ((30, 70), (0.5, 0.5)),
        ((5100, 4900), (0.5, 0.5)),
        ((120, 90, 210), (0.25, 0.25, 0.5)),
        ((7, 0), (0.25, 0.75)),
    ]:
        for k in (100, 10_000):
            process = Multinomial(0.05, np.array(weights), k=k)
            process.update(np.array(counts))
            rows.append(
                (" ".join(map(str, counts)), " ".join(map(str, weights)), k)
                + (float(np.log(process.odds)),)
            )
    columns = ["counts", "weights", "concentration", "ln_e_value"]
    write("multinomial", "savvi Multinomial", ["savvi", "numpy"], "1e-8", columns, rows)

    rows = []
    for treatment, control, share in [(60, 70, 0.25), (130, 90, 0.5), (900, 1100, 0.5)]:
        process = InhomogeneousPoissonProcess(
            0.05, np.array([share, 1 - share]), np.array([[1, -1]]), k=100
        )
        process.update(np.array([treatment, control]))
        process.infer()
        low, high = np.exp(process.conf_int[0])
        p_value = float(process.p_value[0])
        rows.append((treatment, control, share, min(p_value, 1.0), float(low), float(high)))
    columns = ["treatment", "control", "share", "p_value", "low", "high"]
    # Its interval comes from a convex solver with this accuracy.
    source = "savvi InhomogeneousPoissonProcess, k = 100"
    write("two_arm_counts", source, ["savvi", "cvxpy"], "2e-4", columns, rows)


MAIN = [welch, fieller, proportions, ratio, cuped, cuped_ratio, sequence, bayes, beta, bandit]
MAIN += [group_sequential, srm, multiple, power, quantile, shrinkage, stratified]
for part in {"main": MAIN, "savvi": [savvi_counts]}[sys.argv[1]]:
    part()
