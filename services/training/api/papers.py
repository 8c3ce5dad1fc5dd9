"""受講指示書・支援指示書・受講推薦書 on paper: three documents, each with its own issuer, law and effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse

from services.training.domain.instruction import Kind
from services.training.handlers.deliberation_reading import words
from services.training.handlers.reading import get_course_run
from services.training.handlers.record import read_record
from shared.auth import Caller, Role, requires
from shared.problems import NOT_FOUND, Problem
from shared.service import Now, Transaction, router
from shared.service.paper import paper

papers_on_paper = router(tag="training-records")
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Document:
    """What a kind of paper says of itself (雇用保険法, 求職者支援法 Art. 12; DOMAIN.md section 2)."""

    title: str
    act: str
    basis: str
    effect: str


DOCUMENTS: Mapping[Kind, Document] = {
    Kind.INSTRUCTION: Document(
        "受講指示書",
        "次の訓練を受けることを指示します。",
        "雇用保険法",
        "雇用保険の給付の対象となります。給付の内容は公共職業安定所が決めます。",
    ),
    Kind.SUPPORT_INSTRUCTION: Document(
        "支援指示書",
        "次の訓練を受け、就職の支援を受けることを指示します。必要がなくなったときは取り消されます。",
        "求職者支援法 第12条",
        "職業訓練受講給付金の対象となることがあります(月ごとに、訓練を実施した日の8割以上の出席が要ります)。",
    ),
    Kind.RECOMMENDATION: Document(
        "受講推薦書",
        "次の訓練を受けることを推薦します。",
        "法律による指示ではありません",
        "この推薦による給付はありません。",
    ),
}


@papers_on_paper.get(
    "/v1/seat-requests/{seat_request_id}/papers/{number}.html",
    summary="An instruction, support instruction or recommendation on paper",
    description="受講指示書・支援指示書・受講推薦書(A4)。発出者の法人番号と届出・許可番号、根拠、効力を載せます。"
    "氏名は手で書き入れます。変更・取消しになったものは、そのことを載せます。読んだことは、根拠とともに記録されます。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_training_paper(
    seat_request_id: UUID,
    number: Annotated[int, PathParameter(ge=1, le=1000, description="The request's papers are numbered.")],
    session: Transaction,
    now: Now,
    actor: Caller,
) -> HTMLResponse:
    """As it was issued; what became of it since is said on it."""
    record = await read_record(session, seat_request_id, actor, now=now)
    found = next((row for row in record.papers if row.number == number), None)
    if found is None:
        raise Problem(NOT_FOUND)
    return paper(
        TEMPLATES,
        "training_paper.html",
        demo=session.info["settings"].demo,
        issued=found,
        document=DOCUMENTS[Kind(found.kind)],
        replaced=next((row for row in record.papers if row.id == found.changes), None),
        replaced_by=next((row for row in record.papers if row.changes == found.id), None),
        course=await get_course_run(session, record.request.course_run_id, now),
        request=record.request,
        words=words(),
        reader=actor.agency,
        printed_at=now,
    )
