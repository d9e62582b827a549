"""Names of languages in releases, and the placeholders for them in paths and names."""

from xstilts.errors import InputError, nearest

# Tatoeba's codes of the languages of XTREME and XTREME-R (utils_preprocess.py of XTREME).
_CODES = """
af:afr ar:ara az:aze bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:pes fi:fin fr:fra he:heb
hi:hin hu:hun id:ind it:ita ja:jpn jv:jav ka:kat kk:kaz ko:kor lt:lit ml:mal mr:mar nl:nld pl:pol
pt:por ro:ron ru:rus sw:swh ta:tam te:tel th:tha tl:tgl tr:tur uk:ukr ur:urd vi:vie zh:cmn
"""
TATOEBA_CODES = dict(code.split(":") for code in _CODES.split())

# The language names in TyDiQA's question ids and file names.
TYDIQA_NAMES = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}

_PLACEHOLDERS = {"{iso3}": TATOEBA_CODES, "{name}": TYDIQA_NAMES}


def fill(template: str, language: str) -> str:
    """Return `template` with the placeholders replaced by names of `language`.

    `{language}` is the language's code in xstilts, `{iso3}` its three letters in Tatoeba, and
    `{name}` its English name in TyDiQA. Raise InputError for a language that has no such name.
    """
    filled = template.replace("{language}", language)
    for placeholder, names in _PLACEHOLDERS.items():
        if placeholder in filled:
            if placeholder == "{iso3}" and len(language) == 3:
                names = {language: language}  # Tatoeba's own code
            if language not in names:
                hint = nearest(language, names)
                raise InputError(f"{template!r}: {language!r} has no {placeholder}; {hint}")
            filled = filled.replace(placeholder, names[language])
    return filled
