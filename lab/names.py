"""Sample names in several alphabets, each with the ASCII form that goes into sign-in names."""

from __future__ import annotations

Name = tuple[str, str]  # as written, as transliterated


def _pairs(text: str) -> tuple[Name, ...]:
    """Read `written=ascii` words; a word without `=` is ASCII already."""
    split = (word.partition("=") for word in text.split())
    return tuple((written, plain or written.lower()) for written, _, plain in split)


LATIN = (
    _pairs(
        "Ada Zoë=zoe Jürgen=juergen Łukasz=lukasz Søren=soeren Çağla=cagla Nuño=nuno Renée=renee Åsa=asa Štěpán=stepan "
        "Gülşen=gulsen José=jose Anaïs=anais Björn=bjoern Mátyás=matyas Íñigo=inigo Grace Edsger Margaret Dennis"
    ),
    _pairs(
        "Lovelace Müller=mueller Ångström=angstroem Dvořák=dvorak Gößmann=goessmann Şahin=sahin Peña=pena Łaska=laska "
        "Sørensen=soerensen O'Neill=oneill Lefèvre=lefevre Þórsson=thorsson Nagy-Kovács=nagy-kovacs Hopper "
        "Ñíguez=niguez Dijkstra Hamilton Ritchie Öztürk=oeztuerk D’Arcy=darcy"
    ),
)
CYRILLIC = (
    _pairs("Ольга=olga Дмитро=dmytro Юлія=yuliia Борис=boris Жанна=zhanna Ђорђе=djordje Светлана=svetlana Иван=ivan"),
    _pairs("Шевченко=shevchenko Ковалёва=kovaleva Іваненко=ivanenko Јовановић=jovanovic Щукин=shchukin Гончар=honchar"),
)
GREEK = (
    _pairs("Ελένη=eleni Γιώργος=giorgos Χρήστος=christos Σοφία=sofia Θεόδωρος=theodoros Ιωάννα=ioanna"),
    _pairs("Παπαδόπουλος=papadopoulos Νικολάου=nikolaou Ψαρράς=psarras Οικονόμου=oikonomou Ξένου=xenou"),
)
ARABIC = (
    _pairs("محمد=mohammed فاطمة=fatima يوسف=yusuf مريم=maryam عمر=omar ليلى=layla"),
    _pairs("الحسن=alhassan المصري=almasri خوري=khoury الزهراني=alzahrani حداد=haddad"),
)
CHINESE_JAPANESE_KOREAN = (
    _pairs("伟=wei 秀英=xiuying 花子=hanako 健太=kenta 민준=minjun 서연=seoyeon 桜=sakura 明=ming"),
    _pairs("王=wang 李=li 山田=yamada 佐藤=sato 김=kim 박=park 陳=chen 髙橋=takahashi"),
)
HEBREW = (
    _pairs("שרה=sarah דוד=david מרים=miriam נועם=noam יעל=yael אברהם=avraham"),
    _pairs("כהן=cohen לוי=levi מזרחי=mizrahi פרץ=peretz ביטון=biton"),
)

# Latin twice: most people of a European company.
ALPHABETS = (LATIN, LATIN, CYRILLIC, GREEK, ARABIC, CHINESE_JAPANESE_KOREAN, HEBREW)
