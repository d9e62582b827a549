"""Resources of jobs, by model, phase, site and attempt."""

from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import yaml
from pydantic import ValidationError

from tests import ROOT
from xstilts.config.project import read_site, validate
from xstilts.config.resources import (
    Demand,
    JobResources,
    ModelNeeds,
    Needs,
    Site,
    predicts_after_training,
)
from xstilts.errors import InputError

PROFILE = ROOT / "profiles" / "slurm"
LARGE = ModelNeeds(gpu=4, mem_mb=48000, runtime=1440, predict=Needs(gpu=1))
SITE = Site.model_validate(
    {"limits": {"runtime": 2880}, "phases": {"prepare": {"mem_mb": 99}, "train": {"mem_mb": 7}}}
)


def test_memory_and_time_grow_up_to_the_limit():
    memory = [Demand("train", LARGE, SITE, n).amount("mem_mb") for n in (1, 2, 3)]
    assert memory == [48000, 96000, 144000]
    assert [Demand("train", LARGE, SITE, n).amount("runtime") for n in (1, 2, 3)] == [
        1440,
        2880,
        2880,
    ]
    assert [Demand("train", LARGE, SITE, n).amount("gpu") for n in (1, 3)] == [4, 4]


def test_model_overrides_site_overrides_defaults():
    assert Demand("train", ModelNeeds(), SITE).amount("mem_mb") == 7
    assert Demand("train", ModelNeeds(), Site()).amount("mem_mb") == 4000
    assert Demand("prepare", None, SITE).amount("mem_mb") == 99
    assert Demand("prepare", LARGE, Site()).amount("mem_mb") == 8000


def test_memory_follows_from_the_weights_unless_stated():
    base, large = 278e6, 560e6
    usual = [("train", 0), ("train", base), ("train", large), ("predict", base), ("predict", large)]
    expected = [4000, 5948, 10460, 4000, 5980]
    assert [Demand(p, None, Site(), weights=n).amount("mem_mb") for p, n in usual] == expected
    assert Demand("train", None, Site(), 2, weights=large).amount("mem_mb") == 2 * 10460
    assert Demand("train", LARGE, Site(), weights=large).amount("mem_mb") == 48000
    assert Demand("train", None, SITE, weights=large).amount("mem_mb") == 7
    jobs = JobResources({"m": ModelNeeds()}, Site(), weights={"m": large})
    assert jobs.request("train", "m", 1)["mem_mb"] == 10460
    assert jobs.request("prepare", "m", 1)["mem_mb"] == 8000


@pytest.mark.parametrize("phase", ["prepare", "initialise"])
def test_work_for_processors_gets_no_gpu(phase):
    assert Demand(phase, LARGE, SITE).amount("gpu") == 0


def test_site_example_is_valid_and_complete():
    example = yaml.safe_load((PROFILE / "site.yaml.example").read_text())
    assert example.keys() == Site.model_fields.keys()
    validate(Site, example, "site.yaml.example")


def test_a_mistake_in_the_site_s_file_is_named(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("partition: gpu\n")
    with pytest.raises(InputError, match=r"site\.yaml.*unknown key 'partition'.*'partitions'"):
        read_site(path)
    assert read_site(tmp_path / "none.yaml") == Site()


def test_trackers_of_the_site_reach_trainings(tmp_path):
    site = Site(trackers=["wandb", "mlflow"])
    options = JobResources({"m": ModelNeeds()}, site).options("train", "m")
    assert options.endswith("--trackers wandb,mlflow")
    assert "trackers" not in JobResources({"m": ModelNeeds()}, Site()).options("train", "m")
    path = tmp_path / "site.yaml"
    path.write_text("trackers: [trackio]\n")
    if find_spec("trackio"):
        pytest.skip("trackio is installed")
    with pytest.raises(InputError, match=r"site\.yaml, trackers: trackio is not installed; `pip"):
        read_site(path)


def test_predictions_use_training_resources_and_one_gpu():
    assert Demand("predict", LARGE, SITE).amount("mem_mb") == 48000
    shared = ModelNeeds(gpu=8, nodes=2)
    assert Demand("train", shared, SITE).amount("gpu") == 8
    assert Demand("predict", shared, SITE).amount("gpu") == 1


@pytest.mark.parametrize("gpu", [None, 1, 2, 5])
def test_nodes_have_equally_many_gpus(gpu):
    with pytest.raises(ValueError, match=r"multiple of nodes .2. with at least two on each"):
        ModelNeeds(gpu=gpu, nodes=2)


def test_what_one_node_is_asked_for():
    site = SITE.model_copy(update={"gpu_model": "a100", "qos": "long"})
    asked = Demand("train", ModelNeeds(gpu=4, threads=3), site).request()
    assert (asked["gpu"], asked["gpu_model"], asked["nodes"]) == (4, "a100", 1)
    assert asked["cpus_per_task"] == 12, "one task has all the processes"
    assert (asked["mpi"], asked["gres"], asked["qos"]) == (None, None, "long")
    assert Demand("train", ModelNeeds(gpu=1), site).request()["cpus_per_task"] is None
    assert Demand("predict", ModelNeeds(gpu=4, nodes=2), site).request()["nodes"] == 1


def test_what_several_nodes_are_asked_for():
    needs = ModelNeeds(gpu=8, nodes=2)
    asked = Demand("train", needs, SITE.model_copy(update={"gpu_model": "a100"})).request()
    assert (asked["nodes"], asked["tasks_per_node"], asked["mpi"]) == (2, 4, "srun")
    # sbatch refuses GPUs with a type for the job beside others without one for each node
    assert (asked["gres"], asked["gpu"], asked["gpu_model"]) == ("gpu:a100:4", None, None)
    assert Demand("train", needs, SITE).request()["gres"] == "gpu:4"


def test_work_for_processors_asks_for_nothing_of_gpus():
    site = Site(gpu_model="a100", qos="long", constraint="big")
    asked = Demand("prepare", None, site).request()
    assert asked["gpu"] == 0
    assert {asked[name] for name in ("gpu_model", "qos", "constraint", "gres", "mpi")} == {None}
    assert asked.keys() == Demand("train", ModelNeeds(gpu=4, nodes=2), site).request().keys()


def test_constants_are_no_functions():
    jobs = JobResources({"a": ModelNeeds(gpu=1), "b": ModelNeeds(gpu=1)}, Site(account="group"))
    keywords = jobs.keywords("predict", "predict_xnli")
    assert keywords["slurm_account"] == "group"
    assert keywords["gpu"] == 1
    assert callable(keywords["mem_mb"])  # grows with each attempt
    assert "qos" not in keywords


def test_resources_that_models_differ_in_are_functions():
    jobs = JobResources({"a": ModelNeeds(gpu=1), "b": ModelNeeds(gpu=2)}, Site())
    gpus = jobs.keywords("train")["gpu"]
    assert [gpus(SimpleNamespace(node=f"{name}.x"), 1) for name in "ab"] == [1, 2]


def test_first_attempt_waits_for_an_earlier_job():
    jobs = JobResources({"a": ModelNeeds()}, Site(), {"rule_train_wildcards_a.x": "17"})
    options = jobs.keywords("train")["slurm_extra"]
    assert options(SimpleNamespace(node="a.x"), 1).endswith(" --dependency=afterany:17")
    assert "dependency" not in options(SimpleNamespace(node="a.x"), 2)
    assert "dependency" not in options(SimpleNamespace(node="a.y"), 1)


def test_train_options_change_no_result():
    models = {"a": ModelNeeds(gpu=2, micro_batch=4), "b": ModelNeeds()}
    jobs = JobResources({**models, "c": ModelNeeds(compact_embeddings=True)}, Site())
    assert jobs.train_options("a") == ("--micro-batch 4 --processes 2 --nodes 1")
    assert jobs.train_options("b") == ""
    assert jobs.train_options("c") == "--compact-embeddings"


def test_several_gpus_share_no_compact_table():
    with pytest.raises(ValidationError, match="compact_embeddings: true needs gpu: 1, not 2"):
        ModelNeeds(gpu=2, compact_embeddings=True)


def test_a_shared_job_asks_for_one_gpu():
    needs = ModelNeeds(gpu=1, cells_per_gpu=4, mem_mb=1000, threads=2, runtime=60)
    jobs = JobResources({"a": needs}, Site(), {"a.x": "7", "a.y": "5", "a.z": "9"})
    keywords = jobs.keywords("train", "train_together_1", "a", ["a.x", "a.y", "a.w"])
    asked = [keywords[name](SimpleNamespace(), 2) for name in ("mem_mb", "runtime")]
    assert (keywords["gpu"], *asked) == (1, 3 * 2 * 1000, 2 * 60)
    assert jobs.threads_of("train", "a", 3) == 6
    assert jobs.options("train", "a") == "--threads 2 "
    first = keywords["slurm_extra"]
    assert first(SimpleNamespace(), 1).endswith(" --dependency=afterany:5:7")
    assert "--dependency" not in first(SimpleNamespace(), 2)


def test_job_that_predicts_too_has_time_for_both():
    needs = ModelNeeds(gpu=1, mem_mb=900, runtime=40, predict=Needs(runtime=15, mem_mb=1000))
    predicted_by = {"a.x.s1.0": ["a"]}.get
    jobs = JobResources({"a": needs}, Site(), predicted_by=predicted_by)
    asked = jobs.keywords("train")
    for node, minutes, memory in (("a.x.s1.0", 110, 2000), ("a.x.s2.0", 80, 1800)):
        wildcards = SimpleNamespace(node=node)
        assert asked["runtime"](wildcards, 2) == minutes
        assert asked["mem_mb"](wildcards, 2) == memory
    assert predicts_after_training(needs, Site())
    limited = JobResources(
        {"a": needs}, Site(limits={"runtime": 50}), predicted_by={"a.x.s1.0": ["a"]}.get
    )
    runtime = limited.keywords("train")["runtime"]
    assert runtime(SimpleNamespace(node="a.x.s1.0"), 1) == 50


@pytest.mark.parametrize(
    "needs", [LARGE, ModelNeeds(gpu=1, cells_per_gpu=2), ModelNeeds(predict=Needs(threads=2))]
)
def test_jobs_on_other_devices_do_not_predict(needs):
    assert not predicts_after_training(needs, Site())
    assert not predicts_after_training(ModelNeeds(), Site(one_job_per_cell=False))
