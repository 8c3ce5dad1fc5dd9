"""Rubrics: the words for the levels, versioned by name. A region replaces the sample by a rubric of its own.

The official wording belongs to NPO Student Support Face (S.S.F.) and is not ours to print: this is a sample.
"""

from dataclasses import dataclass

from services.assessment.domain.fdp import Axis

SAMPLE = "fdp-sample-1"
NOTICE = "sample wording, not the official S.S.F. text"
NOTICE_JA = "見本の文言です(S.S.F. の公式の文言ではありません)"


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a level looks like at the counter."""

    level: int
    english: str
    japanese: str


@dataclass(frozen=True, slots=True)
class Rubric:
    """Five anchors for each axis, lowest first."""

    name: str
    notice: str
    notice_ja: str
    anchors: dict[Axis, tuple[Anchor, ...]]


def find_rubric(name: str) -> Rubric | None:
    """The rubric of this name."""
    return _RUBRICS.get(name)


def _anchors(*texts: tuple[str, str]) -> tuple[Anchor, ...]:
    return tuple(Anchor(level, english, japanese) for level, (english, japanese) in enumerate(texts, start=1))


_RUBRICS = {
    SAMPLE: Rubric(
        SAMPLE,
        NOTICE,
        NOTICE_JA,
        {
            Axis.INTERPERSONAL: _anchors(
                ("Meets nobody outside the family, or nobody at all", "家族以外とは、または誰とも会えない"),
                ("Manages with one trusted person beside them", "信頼できる人が付き添えば会える"),
                ("Talks with people they know, avoids groups", "知っている人とは話せるが、集団は避ける"),
                ("Takes part in a small group", "少人数の集まりに参加できる"),
                ("Gets on with new people, asks for help", "初対面の人とも関われ、助けを求められる"),
            ),
            Axis.MENTAL: _anchors(
                ("Symptoms fill the day; care comes first", "症状が生活の中心で、まず治療や休養が必要"),
                ("Symptoms often stop what was planned", "症状のため、予定どおりに動けないことが多い"),
                ("Has ups and downs, keeps going with support", "波はあるが、支えがあれば続けられる"),
                ("Mostly steady, notices bad days early", "おおむね安定し、不調に早く気づける"),
                ("Steady, and looks after themselves", "安定していて、自分で体調を整えられる"),
            ),
            Axis.STRESS: _anchors(
                ("Small burdens lead to a breakdown", "小さな負担でも崩れてしまう"),
                ("Avoids burdens, recovers only slowly", "負担を避け、回復に長くかかる"),
                ("Bears familiar burdens, rests afterwards", "慣れた負担なら耐えられ、休めば戻る"),
                ("Copes with new burdens if warned", "前もって分かれば、新しい負担にも対応できる"),
                ("Copes with the unforeseen, has ways to relax", "予想外のことにも対応でき、発散の方法を持つ"),
            ),
            Axis.THINKING: _anchors(
                ("Sees no way out; all or nothing", "先が見えず、極端な考えから離れられない"),
                ("Mostly blames self or others", "自分や他人を責める考えが中心"),
                ("Considers another view if shown one", "示されれば、別の見方を考えられる"),
                ("Finds another view, sets small goals", "自分で別の見方を見つけ、小さな目標を立てられる"),
                ("Plans ahead and learns from failure", "先を考えて計画し、失敗から学べる"),
            ),
            Axis.ENVIRONMENT: _anchors(
                ("Safety, housing or food is not assured", "安全、住まい、食事のどれかが確保できていない"),
                ("Assured for now, but about to break", "当面は確保できているが、崩れかけている"),
                ("Stable, with little support around", "安定しているが、周りの支えは少ない"),
                ("Stable, with somebody who helps", "安定していて、手助けする人がいる"),
                ("Stable, with several people and places", "安定していて、支える人や居場所が複数ある"),
            ),
        },
    )
}
