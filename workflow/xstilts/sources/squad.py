"""Questions with answers in SQuAD's nested JSON: families answer and retrieve."""

import re
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from xstilts.errors import InputError, nearest
from xstilts.languages.codes import TYDIQA_NAMES
from xstilts.sources.records import Item, check_language, document, field


def squad(
    paths: list[Path], language: str, labelled: bool = True, version: str = ""
) -> Iterator[Item]:
    """Yield the items of SQuAD v1.1 and v2.0, XQuAD, XQuAD-R, MLQA and TyDiQA-GoldP by language.

    Every answer must be at its offset, also in test files: XTREME's preprocessing asserts this, so
    a mismatch means a damaged file. If not `labelled`, answers are not read (XTREME's download
    script removes those of test files). A file that states another `version` is an error, and so
    is a question whose id begins with the name of another language (`english-`).
    """
    for path in paths:
        _check_version(path, version)
    for place, row in _rows(paths, labelled):
        name, dash, _ = row["id"].partition("-")
        if dash and name in _CODES:
            check_language(_CODES[name], language, place)
        yield place, row


def _rows(paths: list[Path], labelled: bool) -> Iterator[Item]:
    for path in paths:
        for place, context, question in questions(_articles(path), path):
            answers = _answers(question, context, place) if labelled else []
            row = {
                "id": field(question, "id", str, place),
                "context": context,
                "question": field(question, "question", str, place),
                "answers": [answer for answer, _ in answers],
                "starts": [start for _, start in answers],
            }
            yield place, row


_CODES = {name: code for code, name in TYDIQA_NAMES.items()}


def _check_version(path: Path, version: str) -> None:
    stated = str(document(path).get("version", version)).removeprefix("v") if version else ""
    if stated != version:
        raise InputError(f"{path}: version {stated}, expected version {version} of the release")


def tydiqa(paths: list[Path], language: str, labelled: bool = True) -> Iterator[Item]:
    """Yield the items of one language of a TyDiQA-GoldP file; its ids name the language."""
    if language not in TYDIQA_NAMES:
        raise InputError(f"TyDiQA has no language {language!r}; {nearest(language, TYDIQA_NAMES)}")
    names = set()
    for place, row in _rows(paths, labelled):
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


def passages(paths: list[Path], language: str, candidates: bool = True) -> Iterator[Item]:
    """Yield items of the family retrieve: questions, each with the sentence that answers it.

    With `candidates`, files are named by their language as in XQuAD-R (LAReQA). Every sentence of
    every file is a candidate, and only the questions of `language` are asked. They match the
    sentences that answer the same question in each language. Without `candidates`, all questions of
    the files are asked (SQuAD).
    """
    matches: dict[str, list[str]] = {}
    questions, sentences = [], []
    for path in paths:
        for number, (place, paragraph) in enumerate(_paragraphs(_articles(path), path)):
            context = field(paragraph, "context", str, place)
            spans = _sentence_spans(paragraph, context, place)
            ids = [f"{path.stem}-{number}-{n}" for n in range(len(spans))]
            texts = [context[start:end] for start, end in spans]
            for id, text in zip(ids, texts, strict=True):
                row = {"id": id, "question": "", "text": text, "context": context, "matches": []}
                sentences.append((f"{place}, sentence {id}", row))
            for k, question in enumerate(field(paragraph, "qas", list, place), 1):
                where = f"{place}, question {k}"
                id, answers = field(question, "id", str, where), _answers(question, context, where)
                if not answers:
                    yield where, "no answer"
                    continue
                right = _sentence_of(*answers[0], spans, where)
                matches.setdefault(id, []).append(ids[right])
                text = field(question, "question", str, where)
                if not text:  # a row without a question is a candidate
                    raise InputError(f"{where}: the question is empty")
                row = {"id": id, "question": text, "text": texts[right], "context": context}
                if not candidates or path.stem == language:
                    questions.append((where, row))
    if not questions:
        raise InputError(f"{paths[0]}: expected a file {language}.json next to it")
    for place, row in questions:
        yield place, row | {"matches": matches[row["id"]] if candidates else []}
    if candidates:
        yield from sentences


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])")


def _sentence_spans(paragraph: dict, context: str, place: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence: as in the file, or by a regular expression."""
    if "sentence_breaks" in paragraph:
        breaks = field(paragraph, "sentence_breaks", list, place)
        spans = [tuple(span) for span in breaks if _is_span(span)]
        starts, ends = [first for first, _ in spans], [0, *(end for _, end in spans)]
        ordered = all(end <= start for end, start in zip(ends, starts, strict=False))
        if not spans or len(spans) < len(breaks) or not ordered or spans[-1][1] > len(context):
            raise InputError(f"{place}: sentence_breaks {breaks!r:.80} do not fit the context")
        return [*spans[:-1], (spans[-1][0], len(context))]
    ends = [match.end() for match in _SENTENCE_END.finditer(context)]
    return list(zip([0, *ends], [*ends, len(context)], strict=True))


def _is_span(given: object) -> bool:
    """Whether a value of a file is a list of a start and a later end."""
    return (
        isinstance(given, list)
        and len(given) == 2
        and all(type(number) is int for number in given)
        and given[0] < given[1]
    )


def _sentence_of(answer: str, start: int, spans: list[tuple[int, int]], place: str) -> int:
    """Return the number of the sentence in which an answer begins. Raise InputError if none."""
    for number, (first, end) in enumerate(spans):
        if first < start + len(answer) and start < end:
            return number
    raise InputError(f"{place}: the answer at {start} is in none of the sentence_breaks")


def _articles(path: Path) -> list:
    return field(document(path), "data", list, str(path))


def _paragraphs(articles: list, path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, paragraph) for each paragraph of a file's articles."""
    for i, article in enumerate(articles, 1):
        place = f"{path}: article {i}"
        for j, paragraph in enumerate(field(article, "paragraphs", list, place), 1):
            yield f"{path}: article {i}, paragraph {j}", paragraph


def questions(articles: list, path: Path) -> Iterator[tuple[str, str, dict]]:
    """Yield (place, context, question) for each question of a file's articles."""
    for place, paragraph in _paragraphs(articles, path):
        context = field(paragraph, "context", str, place)
        for k, question in enumerate(field(paragraph, "qas", list, place), 1):
            yield f"{place}, question {k}", context, question


def _answers(question: dict, context: str, place: str) -> list[tuple[str, int]]:
    """Return (text, offset) of each gold answer; none if the question is impossible."""
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
        check_answer(answer, start, context, place)
    return answers


def check_answer(answer: str, start: int, context: str, place: str) -> None:
    """Raise InputError if an answer is empty or not at its offset."""
    if not answer:
        raise InputError(
            f"{place}: the answer is empty, as where labels were removed; take the original release"
        )
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
