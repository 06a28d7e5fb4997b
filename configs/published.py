"""Where the published weights are: a name to type, and the repository, file and revision on Hugging Face behind it.

Sources: the tables of weights in the published code and documentation, not a look at the repositories. Where those give
only the first digits of a file's name, `path` is a pattern with `*`; it is held against the repository's list of files
when the file is fetched, and exactly one has to match. Not here: fetching (`airshower.cluster.hub`), and licences,
which each repository states on its own page.
"""

from dataclasses import dataclass
from difflib import get_close_matches

TRANSFER25 = "nvidia/Cosmos-Transfer2.5-2B"
PREDICT25 = "nvidia/Cosmos-Predict2.5-2B"
PREDICT2 = "nvidia/Cosmos-Predict2-2B-Video2World"
EXPERIMENTAL = "nvidia/Cosmos-Experimental"

_PRIVATE = "reported as private (Transfer2.5 issues 215, 225)"
_GONE = "reported as missing (Predict2.5 issues 60, 76, 106)"
_INFERRED = "repository inferred from the model's name"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One file of published weights, or a whole repository where `path` is None."""

    name: str
    repo: str
    path: str | None  # inside the repository; `*` stands for what the sources leave out
    revision: str = "main"  # a branch, or the first digits of a commit
    network: str | None = None  # key of `networks_2b.published_networks`; None for what is none of them
    note: str = ""  # what the name leaves open, and reports that it can't be had


_GENERAL = "Transfer2.5 2B general, one control, with style image"
_GENERAL_OLDER = "Transfer2.5 2B general, one control, without style image"
_VIS = "the control that the files call blur"


def _transfer25() -> tuple[Published, ...]:
    def one(name: str, path: str, network: str | None, note: str = "") -> Published:
        return Published(name=f"transfer2.5-2b-{name}", repo=TRANSFER25, path=path, network=network, note=note)

    return (
        one("edge", "general/edge/61f5694b-0ad5-4ecd-8ad7-c8545627d125_ema_bf16.pt", _GENERAL),
        one("vis", "general/blur/ba2f44f2-c726-4fe7-949f-597069d9b91c_ema_bf16.pt", _GENERAL, _VIS),
        one("depth", "general/depth/626e6618-bfcd-4d9a-a077-1409e2ce353f_ema_bf16.pt", _GENERAL),
        one("seg", "general/seg/5136ef49-6d8d-42e8-8abf-7dac722a304a_ema_bf16.pt", _GENERAL),
        one("edge-older", "general/edge/ecd0ba00*.pt", _GENERAL_OLDER),
        one("vis-older", "general/blur/20d9fd0b*.pt", _GENERAL_OLDER, _VIS),
        one("depth-older", "general/depth/0f214f66*.pt", _GENERAL_OLDER),
        one("seg-older", "general/seg/fcab44fe*.pt", _GENERAL_OLDER),
        one(
            "edge-distilled",
            "distilled/general/edge/41f07f13-f2e4-4e34-ba4c-86f595acbc20*.pt",
            None,
            "4 steps, 93 frames; experimental in the published code",
        ),
        one(
            "multiview-hdmap",
            "auto/multiview/4ecc66e9-df19-4aed-9802-0d11e057287a*.pt",
            "Transfer2.5 2B auto/multiview",
        ),
        one("multiview-hdmap-older", "auto/multiview/b5ab002d*.pt", "Transfer2.5 2B auto/multiview"),
        one("plenoptic", "*a8794d70*.pt", None, "480p; the sources don't say which folder it is in"),
    )


def _transfer25_agibot() -> tuple[Published, ...]:
    files = {"depth": "32514ba1", "edge": "fffbd388", "vis": "2eca9f80", "seg": "c5a9a58b"}
    return tuple(
        Published(
            name=f"transfer2.5-2b-agibot-{control}",
            repo=EXPERIMENTAL,
            path=f"*{digits}*.pt",
            network="Transfer2.5 2B robot/multiview",
            note=_PRIVATE,
        )
        for control, digits in files.items()
    )


def _predict25() -> tuple[Published, ...]:
    def one(name: str, path: str, network: str | None, note: str = "") -> Published:
        return Published(name=f"predict2.5-2b-{name}", repo=PREDICT25, path=path, network=network, note=note)

    base, multiview, robot = "Predict2.5 2B", "Predict2.5 2B auto/multiview", "Predict2.5 2B robot/multiview"
    listed = "as Transfer2.5 lists it"
    return (
        one("pre-trained", "base/pre-trained/d20b7120*.pt", base),
        one("post-trained", "base/post-trained/81edfebe*.pt", base, "sampled with Karras sigmas"),
        one("transfer-base", "*24a3b7b8*.pt", base, "what Transfer2.5 starts from; its folder isn't stated"),
        one("multiview", "auto/multiview/524af350*.pt", multiview, listed),
        one("multiview-older", "auto/multiview/6b9d7548*.pt", multiview, "as Predict2.5 lists it"),
        one("robot-multiview", "robot/multiview/0e8177cc*.pt", robot, _GONE),
        one("agibot", "robot/multiview-agibot/f740321e*.pt", robot, f"{listed}; {_GONE}"),
        one("agibot-7f6b99b7", "robot/multiview-agibot/7f6b99b7*.pt", robot, f"as Predict2.5 lists it; {_GONE}"),
        one("vae", "tokenizer.pth", None, "autoencoder of the 2.5 models"),
    )


def _predict2() -> tuple[Published, ...]:
    def one(name: str, path: str, network: str | None, note: str = "") -> Published:
        return Published(name=f"predict2-2b-{name}", repo=PREDICT2, path=path, network=network, note=note)

    kinds = [f"{resolution}-{fps}fps" for resolution in ("480p", "720p") for fps in (10, 16)]
    sparse = "trained with sparse attention (NATTEN), which the network here lacks"
    return (
        *(one(kind, f"model-{kind}.pt", "Predict2 2B") for kind in kinds),
        *(one(f"{kind}-natten", f"model-{kind}-natten.pt", None, sparse) for kind in kinds),
        one("vae", "tokenizer/tokenizer.pth", None, "autoencoder of Predict2"),
        Published(
            name="predict2-2b-multiview-720p-10fps",
            repo="nvidia/Cosmos-Predict2-2B-Multiview",
            path="model-720p-10fps-7views-29frames.pt",
            network="Predict2 2B multiview",
            note="reported as missing (Predict2 issue 175)",
        ),
    )


def _helpers() -> tuple[Published, ...]:
    def whole(name: str, repo: str, note: str, revision: str = "main") -> Published:
        return Published(name=name, repo=repo, path=None, revision=revision, note=note)

    return (
        whole("reason1-7b", "nvidia/Cosmos-Reason1-7B", "text encoder of the 2.5 models", revision="3210bec"),
        whole("t5-11b", "google-t5/t5-11b", "text encoder of Predict2"),
        whole("siglip2", "google/siglip2-so400m-patch16-naflex", f"encoder of style images; {_INFERRED}"),
        whole("depth-anything-v2-small", "depth-anything/Depth-Anything-V2-Small-hf", "depth control, frame by frame"),
        whole("grounding-dino", "IDEA-Research/grounding-dino-base", f"boxes of the seg control; {_INFERRED}"),
        whole("sam2", "facebook/sam2-hiera-large", f"masks of the seg control; {_INFERRED}"),
    )


PUBLISHED: dict[str, Published] = {
    one.name: one for group in (_transfer25, _transfer25_agibot, _predict25, _predict2, _helpers) for one in group()
}


def published(name: str) -> Published:
    """The published weights of that name; raises ValueError with the names that are near."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    near = get_close_matches(name, PUBLISHED, n=3) or [one for one in PUBLISHED if name in one][:3]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"checkpoint {name!r} is unknown: {meant}airshower checkpoint list shows all {len(PUBLISHED)}")
