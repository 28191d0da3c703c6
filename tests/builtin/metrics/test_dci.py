import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from aerepr.builtin.metrics.dci import dci
from aerepr.layers.importance import factor_seeds
from tests.builtin.metrics.arrays import classes, noisy
from tests.builtin.metrics.reference import cases

FIELDS = ("disentanglement", "completeness", "informativeness_test", "informativeness_train")

# A second or two each; the others take up to a minute and run with -m full.
QUICK = {"tiny_perfect", "grid_interaction", "exact_dead"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case), marks=() if str(case) in QUICK else pytest.mark.full)
        for case in cases("dci_disentanglement")
    ],
)
def test_every_case_of_the_reference(case):
    found = dci(case.codes, case.factors, train_rows=case.train)
    for field in FIELDS:
        case.check(f"dci_{field}", getattr(found, field))
    np.testing.assert_allclose(found.importance_DK.sum(axis=0), 1)


def test_the_classifier_is_scikit_learns_with_its_defaults():
    y = classes(200, (3, 4))
    z = noisy(y, 0.5)
    found = dci(z, y)
    train, test = [], []
    for factor, seed in enumerate(factor_seeds(0, 2)):
        model = GradientBoostingClassifier(random_state=seed).fit(z[:133], y[:133, factor])
        np.testing.assert_array_equal(found.importance_DK[:, factor], model.feature_importances_)
        train.append(model.score(z[:133], y[:133, factor]))
        test.append(model.score(z[133:], y[133:, factor]))
    assert found.informativeness_train == pytest.approx(np.mean(train), abs=1e-12)
    assert found.informativeness_test == pytest.approx(np.mean(test), abs=1e-12)


def test_processes_and_seeds():
    y = classes(150, (3, 2))
    z = np.concatenate([noisy(y, 0.5)] * 2, axis=1)
    alone, together = dci(z, y, jobs=1, seed=3), dci(z, y, jobs=2, seed=3)
    np.testing.assert_array_equal(alone.importance_DK, together.importance_DK)
    assert alone.informativeness_test == together.informativeness_test
    # Dimensions that are copies share their importance at random.
    assert (alone.importance_DK != dci(z, y, jobs=1, seed=4).importance_DK).any()
