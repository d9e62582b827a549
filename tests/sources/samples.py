"""A small file of every format, with its expected rows."""

import json

MNLI = (
    "index\tpairID\tsentence1\tsentence2\tgold_label\n"
    '0\t1e\tHe said "go\tHe spoke\tentailment\n'
    "1\t2n\tIt rains\tIt is cold\tneutral\n"
)
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
XNLI = (
    "language\tgold_label\tsentence1\tsentence2\tpairID\n"
    "de\tneutral\tEs regnet\tEs ist kalt\t7\n"
    "sw\tcontradiction\tNdiyo\tHapana\t7\n"
)
PAWSX = "id\tsentence1\tsentence2\tlabel\n1\tNS\tb\t0\n2\ta\tb\t1\n"
COSMOS = (
    "id,context,question,answer0,answer1,answer2,answer3,label\r\n"
    'q1,"He said ""no"", and\r\nleft",Why?,a,b,c,d,2\r\n'
)
HELLASWAG = {"ind": 4, "ctx": "He sits.", "endings": ["a", "b", "c", "d"], "label": 3}
COPA = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0}
CSQA = {
    "answerKey": "E",
    "id": "x",
    "question": {"stem": "s", "choices": [{"label": c, "text": c} for c in "ABCDE"]},
}
SIQA = {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c"}
ANLI = {"uid": "u", "context": "c", "hypothesis": "h"}
CCG = (
    "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
    r"(<T S[dcl] 0 2> (<L N NNP NNP Vinken N>) (<T S\NP 1 2> (<L (S\NP)/NP VBZ VBZ is X>)"
    " (<L RRB -RRB- -RRB- ) RRB>) ) )\n"
)
CONLLU = """\
# sent_id = s1
1-2\tDámelo\t_\t_\t_\t_\t_\t_\t_\t_
1\tda\t_\tVERB\t_\t_\t0\troot\t_\t_
2\tlo\t_\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tnada\t_\tVERB\t_\t_\t_\t_\t_\t_
3\t20 000\t_\tNUM\t_\t_\t1\tobj\t_\t_
4\t.\t_\tPUNCT\t_\t_\t1\tpunct\t_\t_

# sent_id = s2
1\t_\t_\tNOUN\t_\t_\t0\troot\t_\t_
2\t_\t_\tVERB\t_\t_\t1\tdep\t_\t_
"""
CONLLU_ROW = {"words": ["Dámelo", "20000", "."], "tags": ["VERB", "NUM", "PUNCT"], "id": "s1"}
PANX = "sw:Anton\tB-PER\nsw:http://x\tO\n\nsw:Bonn\tB-LOC\n\n"


def jsonl(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def squad(*questions, context="Rome is in Italy."):
    paragraphs = [{"context": context, "qas": list(questions)}]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


def question(id="q1", text="Italy", start=11, **more):
    return {"id": id, "question": "Where?"} | (
        more or {"answers": [{"text": text, "answer_start": start}]}
    )


def pair(id, a, b, label):
    return {"id": id, "text_a": a, "text_b": b, "label": label}


def choose(id, context, question, choices, label):
    return {
        "id": id,
        "context": context,
        "question": question,
        "choices": list(choices),
        "label": label,
    }


PASSAGE = {"text": "Rome is in Italy.", "context": "Rome is in Italy."}
ANSWER = {"id": "q1", "context": "Rome is in Italy.", "question": "Where?"}

MENTION = {
    "example_id": "m1",
    "entity_id": "Q220",
    "mention_span": {"start": 25, "end": 29, "text": "Roma"},
}
ARTICLE = {
    "document_id": "sw-1",
    "language": "sw",
    "text": "{Habari.}\n Leo ni {moto}\nRoma.  Kesho?",
    "sentence_spans": [{"start": 0, "end": 9}, {"start": 11, "end": 30}, {"start": 32, "end": 38}],
}
ENTITY = {"entity_id": "Q220", "title": "Roma", "description": "Roma ni mji.\nNi mkuu."}
MENTION_ROW = {
    "id": "m1",
    "question": "Roma: Leo ni (moto) { Roma } .",
    "text": "",
    "context": "",
    "matches": ["Q220"],
}
ENTITY_ROW = {
    "id": "Q220",
    "question": "",
    "text": "Roma ni mji. Ni mkuu.",
    "context": "",
    "matches": [],
}


def mention_pair(mention=MENTION, article=ARTICLE, entity=ENTITY):
    return {"contextual_mention": {"context": article, "mention": mention}, "entity": entity}


CHECKLIST = (
    "Field\ten\tsw\tsw\tsw-placeholders\n"
    "Name\tPets\t\t\t\n"
    "Context\t{first_name} has {a:animal}.\t{first_name} ana {animal}.\t\t\n"
    "Question\tWhat has {first_name}?\tNini?\tNini, mbwa?\tdog\n"
    "Answer\t{animal}\t{animal}\t\t\n"
    "animal\ta dog\tmbwa\t\t\n"
)

READS = {
    "checklist": (
        CHECKLIST,
        [
            {
                "id": "Pets-0-0",
                "context": "Ben ana mbwa.",
                "question": "Nini, mbwa?",
                "answers": ["mbwa"],
                "starts": [8],
            }
        ],
    ),
    "glue-mnli": (
        MNLI,
        [
            pair("0", 'He said "go', "He spoke", "entailment"),
            pair("1", "It rains", "It is cold", "neutral"),
        ],
    ),
    "glue-qqp": (QQP + "5\t1\t2\ta?\t\t1\n", [pair("5", "a?", "", "1")]),
    "nli-jsonl": (
        jsonl({"pairID": "1e", "sentence1": "a", "sentence2": "b", "gold_label": "neutral"}),
        [pair("1e", "a", "b", "neutral")],
    ),
    "anli": (jsonl(ANLI | {"label": "c"}), [pair("u", "c", "h", "contradiction")]),
    "xnli": (XNLI, [pair("7", "Ndiyo", "Hapana", "contradiction")]),
    "xnli-mt": (
        "premise\thypo\tlabel\na\tb\tcontradictory\n",
        [pair("0", "a", "b", "contradiction")],
    ),
    "pawsx": (PAWSX, [pair("2", "a", "b", "1")]),
    "hellaswag": (jsonl(HELLASWAG), [choose("4", "He sits.", "", "abcd", 3)]),
    "cosmosqa": (COSMOS, [choose("q1", 'He said "no", and\r\nleft', "Why?", "abcd", 2)]),
    "commonsenseqa": (jsonl(CSQA), [choose("x", "", "s", "ABCDE", 4)]),
    "siqa": (jsonl(SIQA | {"correct": "B"}), [choose("0", "c", "q", "abc", 1)]),
    "copa": (jsonl(COPA), [choose("0", "p", "What was the cause?", "ab", 1)]),
    "squad": (squad(question()), [ANSWER | {"answers": ["Italy"], "starts": [11]}]),
    "tydiqa": (
        squad(question("swahili-1-0"), question("english-1-0")),
        [ANSWER | {"id": "swahili-1-0", "answers": ["Italy"], "starts": [11]}],
    ),
    "passages": (
        {"sw.json": squad(question())},
        [
            PASSAGE | {"id": "q1", "question": "Where?", "matches": ["sw-0-0"]},
            PASSAGE | {"id": "sw-0-0", "question": "", "matches": []},
        ],
    ),
    "mewslix": (
        jsonl(
            {"context": ARTICLE | {"language": "de"}}, {"context": ARTICLE, "mentions": [MENTION]}
        ),
        [MENTION_ROW],
    ),
    "mewslix-pairs": (jsonl(mention_pair()), [MENTION_ROW | {"text": ENTITY_ROW["text"]}]),
    "mewslix-entities": (jsonl(ENTITY), [ENTITY_ROW]),
    "conllu": (CONLLU, [CONLLU_ROW]),
    "panx": (
        PANX,
        [
            {"id": "0", "words": ["Anton", "http://x"], "tags": ["B-PER", "O"]},
            {"id": "1", "words": ["Bonn"], "tags": ["B-LOC"]},
        ],
    ),
    "ccgbank": (
        CCG,
        [{"id": "wsj_0001.1", "words": ["Vinken", "is", ")"], "tags": ["N", r"(S\NP)/NP", "RRB"]}],
    ),
    "tatoeba": (
        {"t.swh-eng.swh": "Ndiyo.\nHapana.\n", "t.swh-eng.eng": "Yes.\nNo.\n"},
        [
            {"id": "sw-0", "side": "foreign", "text": "Ndiyo.", "match": "en-0"},
            {"id": "sw-1", "side": "foreign", "text": "Hapana.", "match": "en-1"},
            {"id": "en-0", "side": "english", "text": "Yes.", "match": "sw-0"},
            {"id": "en-1", "side": "english", "text": "No.", "match": "sw-1"},
        ],
    ),
    "bucc": (
        {"d.sw": "sw-1\tNdiyo.\nsw-2\tX.\n", "d.en": "en-7\tYes.\n", "d.gold": "sw-1\ten-7\n"},
        [
            {"id": "sw-1", "side": "foreign", "text": "Ndiyo.", "match": "en-7"},
            {"id": "sw-2", "side": "foreign", "text": "X.", "match": ""},
            {"id": "en-7", "side": "english", "text": "Yes.", "match": "sw-1"},
        ],
    ),
    "text": (
        "One\u2028line.\n\nTwo.\n",
        [
            {"id": "0", "text": "One\u2028line.", "text_b": ""},
            {"id": "2", "text": "Two.", "text_b": ""},
        ],
    ),
}


def ud(*rows):
    return "".join(
        f"{id}\t{form}\t_\t{tag}\t_\t_\t{head}\t_\t_\t_\n" for id, form, tag, head in rows
    )
