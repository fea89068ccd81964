"""Groups: which runs train together, and in which order."""

from jetlab.models.tagger import Tagger
from jetlab.runs.groups import ended, generation, groups_of, label, work
from jetlab.runs.ledger import Ledger
from jetlab.runs.study import Study
from tests.runs.records import make_record
from tests.runs.records import make_run as run


def study(*runs) -> Study:
    return Study(name="s", runs=runs)


def test_a_group_has_one_program_and_the_same_jets():
    """Seed, size and learning rate differ within a group; width, inputs, pool and
    early stopping between groups."""
    first = run()
    within = [run(1), run(num_train=128), run(learning_rate=1e-2)]
    between = [
        run(model=Tagger(width=8)),
        run(inputs="full-40"),
        run(pool=512),
        run(patience=1),
    ]
    groups = groups_of(study(first, *within, *between))
    assert sorted(map(len, groups)) == [1, 1, 1, 1, 4]
    assert [first, *within] in groups


def test_the_costliest_group_comes_first():
    """Work is jets times (8 + width): 256 x 12 x 2 runs, 256 x 16, 128 x 24."""
    narrow = [run(0), run(1)]
    wide = run(model=Tagger(width=8))
    widest = run(num_train=128, model=Tagger(width=16))
    assert [work(one) for one in (*narrow, wide, widest)] == [3072, 3072, 4096, 3072]
    assert groups_of(study(widest, wide, *narrow)) == [narrow, [wide], [widest]]


def test_epochs_are_work():
    assert work(run(epochs=3)) == 3 * work(run())


def test_parents_come_before_costlier_children():
    parent = run(num_train=128)
    child = run(init_from=parent, num_train=256)
    grandchild = run(init_from=child, epochs=10)
    assert [generation(one) for one in (parent, child, grandchild)] == [0, 1, 2]
    groups = groups_of(study(grandchild, child, parent))
    assert groups == [[parent], [child], [grandchild]]


def test_a_run_under_two_arms_is_trained_once():
    one, same = run(arm="fixed"), run(arm="tuned")
    assert one.id == same.id
    assert groups_of(study(one, same)) == [[same]]


def test_failed_runs_are_retried_and_diverged_ones_are_not(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.lock():
        for status in ("done", "failed", "diverged"):
            ledger.add(make_record(status, status))
    assert ended(ledger) == {"done", "diverged"}


def test_the_label_counts_each_run_once():
    runs = [run(0, arm="a"), run(0, arm="b"), run(1), run(2)]
    assert label(runs, {run(1).id, "of another study"}) == "2 runs (1 finished)"
