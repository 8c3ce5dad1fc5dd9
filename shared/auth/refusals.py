"""Why a token is refused: a code for operators and integrators alike, and a sentence that may be sent.

Each reason follows from the caller's own token and from what the issuer publishes, so telling it reveals nothing; the
token's content is never repeated. What a token says counts only once its signature is good.
"""

from enum import StrEnum


class Reason(StrEnum):
    """The codes, in the order in which a token is checked."""

    MISSING = "no_token"
    MALFORMED = "not_a_token"
    ALGORITHM = "algorithm"
    TYPE = "not_an_access_token"
    HEADER = "header"
    UNKNOWN_KEY = "unknown_key"
    KEYS_UNREACHABLE = "keys_unreachable"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXP = "exp"
    IAT = "iat"
    NBF = "nbf"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SUB = "sub"
    CLIENT_ID = "client_id"
    JTI = "jti"
    AGENCY = "agency"
    AGENCY_KIND = "agency_kind"
    MUNICIPALITIES = "municipalities"
    ROLES = "roles"


WORDS: dict[Reason, tuple[str, str]] = {
    Reason.MISSING: ("Send an access token as a bearer token", "アクセストークンを Bearer で送ってください"),
    Reason.MALFORMED: ("This is not a signed JWT", "署名された JWT ではありません"),
    Reason.ALGORITHM: (
        "The signature algorithm is not allowed here, or not the one of the key",
        "署名の方式が許されていないか、鍵の方式と違います",
    ),
    Reason.TYPE: (
        "The token is not an access token; an ID token is not accepted",
        "アクセストークンではありません(ID トークンは使えません)",
    ),
    Reason.HEADER: (
        "The token's header lacks kid or carries a key of its own",
        "ヘッダーに kid がないか、鍵が埋め込まれています",
    ),
    Reason.UNKNOWN_KEY: (
        "The issuer publishes no usable key with this kid",
        "この kid の使える鍵を発行者が公開していません",
    ),
    Reason.KEYS_UNREACHABLE: ("The issuer's keys can't be read at present", "発行者の鍵をいま読めません"),
    Reason.SIGNATURE: ("The signature is not good", "署名が正しくありません"),
    Reason.CLAIMS: ("The token's content is not a JSON object", "トークンの中身が JSON のオブジェクトではありません"),
    Reason.ISSUER: ("iss is not the issuer of this installation", "iss がこの環境の発行者ではありません"),
    Reason.AUDIENCE: ("aud does not name this service", "aud にこのサービスがありません"),
    Reason.EXP: ("exp is missing or not a number", "exp がないか、数ではありません"),
    Reason.IAT: ("iat is missing or not a number", "iat がないか、数ではありません"),
    Reason.NBF: ("nbf is not a number", "nbf が数ではありません"),
    Reason.EXPIRED: ("The token has expired", "トークンの期限が切れています"),
    Reason.NOT_YET_VALID: (
        "The token is not valid yet; compare the clocks",
        "まだ有効でないトークンです。時計を比べてください",
    ),
    Reason.SUB: ("sub is missing", "sub がありません"),
    Reason.CLIENT_ID: (
        "The client that asked for the token is not named",
        "トークンを求めたクライアントの名がありません",
    ),
    Reason.JTI: ("jti is missing", "jti がありません"),
    Reason.AGENCY: ("The token names no agency, or not in its form", "機関の名がないか、形が違います"),
    Reason.AGENCY_KIND: (
        "The token names no kind of agency, or not as a code",
        "機関の種類がないか、コードではありません",
    ),
    Reason.MUNICIPALITIES: (
        "A municipality is not a local government code of six digits, nor prefecture:NN",
        "全国地方公共団体コード(6桁)でも prefecture:NN でもない値があります",
    ),
    Reason.ROLES: ("The roles are not a list of texts", "役割が文字列の並びではありません"),
}
"""English and Japanese; the English goes into a header too, so it holds no quotes, backslashes or foreign letters."""


class Refused(Exception):
    """The token is not accepted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
