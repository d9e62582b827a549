"""Names in other spellings mean the same study; identities do not depend on the spelling."""

import pytest

from tests import shipped
from xstilts.config.project import assemble
from xstilts.config.spelling import respelled_recipe
from xstilts.errors import InputError
from xstilts.grid.grid import Grid

DEFINITIONS = shipped()
PLAIN = {
    "study": "s",
    "models": ["xlmr-large"],
    "controls": ["xlmr-base"],
    "recipes": ["none", "mnli", "commonsenseqa+mlm@de~10k-squad2"],
    "targets": ["xnli", "pawsx", "udpos", "panx", "tydiqa"],
    "seeds": [1],
    "hyperparameters": "phang2020",
    "tasks": {"xnli": {"languages": ["de", "zh"]}},
    "arms": {"low": {"tasks": {"pawsx": {"train": {"epochs": 1}}}}},
    "subsets": {"half": {"target": "xnli", "whole": "pawsx"}},
    "published": {"mnli": {"panx": 50}},
    "published_by_model": {"xlmr-large": {"none": {"panx": 50}}},
}
SPELLED = PLAIN | {
    "models": ["XLM-RoBERTa-large"],
    "controls": ["facebookAI/xlm-roberta-base"],
    "recipes": ["None", "MNLI", "csqa + MLM@German~10K - SQuAD-2"],
    "targets": ["XNLI", "PAWS-X", "POS", "NER", "TyDiQA"],
    "hyperparameters": "Phang2020",
    "tasks": {"XNLI": {"languages": ["DE", "Chinese"]}},
    "arms": {"low": {"tasks": {"paws_x": {"train": {"epochs": 1}}}}},
    "subsets": {"half": {"target": "Xnli", "whole": "PAWSX"}},
    "published": {"MNLI": {"WikiANN": 50}},
    "published_by_model": {"XLM-R large": {"None": {"WikiANN": 50}}},
}


def ids(study) -> list[str]:
    return [artefact.id for artefact in Grid(assemble(study, DEFINITIONS)).artefacts().all()]


def test_spelling_changes_no_identity():
    assert ids(SPELLED) == ids(PLAIN)


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("PAWS-X", "pawsx"),
        ("paws-x-MNLI", "pawsx-mnli"),
        ("mnli--mnli", "mnli--mnli"),
        ("mnli-", "mnli-"),
        ("MNLI-nothing", "MNLI-nothing"),
        ("mnli~300Steps", "mnli~300steps"),
        ("qqp@EN~5PCT", "qqp@en~5pct"),
        (3, 3),
        ("x-" * 5000, "x-" * 5000),
    ],
)
def test_recipe_is_respelled_if_all_its_tasks_are_known(text, recipe):
    assert respelled_recipe(text, DEFINITIONS.tasks) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["xnly"]}, "targets: unknown task 'xnly': did you mean 'xnli'?"),
        ({"targets": ["SQuAD"]}, "'squad' cannot be used as target task; .*did you mean 'xquad'"),
        ({"models": ["../xlmr-base"]}, "unknown model '../xlmr-base'"),
        ({"recipes": ["none", {}]}, "recipes.1: {} is not allowed; expected text or a mapping"),
        ({"models": ["xlmr"]}, "unknown model 'xlmr': did you mean 'xlmr-"),
        ({"targets": ["xnli", "XNLI"]}, "targets: 'xnli' is given twice"),
        ({"tasks": {"xnli": {"languages": ["Klingon"]}}}, "languages.0: 'Klingon' is not allowed"),
    ],
)
def test_a_wrong_name_is_still_a_mistake(changes, message):
    with pytest.raises(InputError, match=message):
        assemble(PLAIN | changes, DEFINITIONS)
