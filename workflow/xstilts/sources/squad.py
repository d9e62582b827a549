"""Extractive question answering in the nested JSON of SQuAD: family answer."""

from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from xstilts.errors import InputError, nearest
from xstilts.sources.languages import TYDIQA_NAMES
from xstilts.sources.records import Item, document, field


def squad(paths: list[Path], language: str, labelled: bool = True) -> Iterator[Item]:
    """Items of SQuAD v1.1 and v2.0, XQuAD, XQuAD-R, MLQA and files of one language of TyDiQA-GoldP.

    Every answer must stand at its offset, in test files too: XTREME's preprocessing asserts as much
    of the real files, so another text there is a damaged file.
    If not `labelled`, answers are not read (XTREME's download script blanks those of test files).
    """
    for path in paths:
        for place, context, question in _questions(path):
            answers = _answers(question, context, place) if labelled else []
            row = {
                "id": field(question, "id", str, place),
                "context": context,
                "question": field(question, "question", str, place),
                "answers": [answer for answer, _ in answers],
                "starts": [start for _, start in answers],
            }
            yield place, row


def tydiqa(paths: list[Path], language: str, labelled: bool = True) -> Iterator[Item]:
    """Items of one language of a TyDiQA-GoldP file, whose ids name it: the train file mixes all."""
    if language not in TYDIQA_NAMES:
        raise InputError(f"TyDiQA has no language {language!r}; {nearest(language, TYDIQA_NAMES)}")
    names = set()
    for place, row in squad(paths, language, labelled):
        name, dash, _ = row["id"].partition("-")
        if not dash:
            raise InputError(
                f"{place}: id {row['id']!r} does not begin with a language, as english-"
            )
        names.add(name)
        if name == TYDIQA_NAMES[language]:
            yield place, row
    wanted = TYDIQA_NAMES[language]
    if wanted not in names:
        raise InputError(f"{paths[0]}: no question in {wanted}; {nearest(wanted, names)}")


def _questions(path: Path) -> Iterator[tuple[str, str, dict]]:
    """(place, context, question) of each question of a file."""
    for i, article in enumerate(field(document(path), "data", list, str(path)), 1):
        place = f"{path}: article {i}"
        for j, paragraph in enumerate(field(article, "paragraphs", list, place), 1):
            place = f"{path}: article {i}, paragraph {j}"
            context = field(paragraph, "context", str, place)
            for k, question in enumerate(field(paragraph, "qas", list, place), 1):
                yield f"{place}, question {k}", context, question


def _answers(question: dict, context: str, place: str) -> list[tuple[str, int]]:
    """(text, offset) of each gold answer; none if the question is marked as impossible."""
    answers = [
        (field(answer, "text", str, place), field(answer, "answer_start", int, place))
        for answer in field(question, "answers", list, place)
    ]
    if bool(answers) == (question.get("is_impossible") is True):
        raise InputError(
            f"{place}: {len(answers)} answers and is_impossible {question.get('is_impossible')!r}:"
            " a question has answers, or is marked as impossible"
        )
    for answer, start in answers:
        if not answer:
            raise InputError(
                f"{place}: the answer is empty, as in files whose labels were removed;"
                " take the original release, or read it with labelled: false"
            )
        check_answer(answer, start, context, place)
    return answers


def check_answer(answer: str, start: int, context: str, place: str) -> None:
    """Raise InputError if an answer does not stand at its offset."""
    if start < 0 or not context.startswith(answer, start):
        raise InputError(
            f"{place}: answer {answer!r} is not at offset {start}{_where(answer, context)}"
        )


def _where(answer: str, context: str) -> str:
    if answer in context:
        return f" but at {context.index(answer)}"
    if normalize("NFC", answer) in normalize("NFC", context):
        return "; context and answer differ in Unicode normalisation (NFC, NFD)"
    return ", nor anywhere in the context"
