"""Plans: what becomes of each field, and what is refused."""

from dataclasses import replace

import pytest

from vecferry.errors import ConfigError
from vecferry.mapping.plan import Side, plan_mapping
from vecferry.mapping.resolve import resolve_collections
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec
from vecferry.ports import Capabilities
from vecferry.settings import CollectionSettings

RICH = Capabilities(
    id_types=frozenset({"int", "uuid", "str"}),
    dtypes=frozenset({"float32", "float16", "bfloat16", "int8", "uint8", "binary"}),
    metrics=frozenset({"cosine", "dot", "l2", "hamming"}),
    int_min=-(2**63),
    namespaces=True,
    sparse=True,
    multi=True,
    several_vectors=True,
    unnamed_vector="vector",
)
QDRANTISH = Capabilities(
    id_types=frozenset({"int", "uuid"}),
    dtypes=frozenset({"float32", "float16", "uint8"}),
    metrics=frozenset({"cosine", "dot", "l2", "l1"}),
    sparse=True,
    multi=True,
    several_vectors=True,
    normalises=True,
)
DOCS = CollectionSettings(source="docs")
DENSE = Dense("float32", 3, b"\0" * 12)


def a_collection(*vectors: VectorSpec, **more: object) -> Collection:
    return Collection("docs", vectors or (VectorSpec("e", dim=3, metric="l2"),), **more)  # type: ignore[arg-type]


def ratings(plan: object) -> dict[str, str]:
    return {field.field: field.rating for field in plan.fields}  # type: ignore[attr-defined]


def test_what_the_target_holds_is_exact_and_nothing_is_refused() -> None:
    plan = plan_mapping(Side(a_collection(), RICH), RICH, DOCS)
    assert ratings(plan) == {"vectors.e": "exact", "id": "exact"}
    assert plan.refusals == ()
    assert plan.collection.vectors == (VectorSpec("e", dim=3, metric="l2"),)


def test_a_dtype_that_the_target_lacks_is_widened() -> None:
    source = a_collection(VectorSpec("e", dtype="bfloat16", dim=3, metric="l2"))
    plan = plan_mapping(Side(source, RICH), QDRANTISH, DOCS)
    assert ratings(plan)["vectors.e"] == "widened"
    assert plan.collection.vectors[0].dtype == "float32"


@pytest.mark.parametrize(
    "spec",
    [
        VectorSpec("e", dtype="binary", dim=8, metric="hamming"),
        VectorSpec("e", dim=9, metric="l2"),
        VectorSpec("e", kind="sparse"),
        VectorSpec("e", kind="multi", dim=3, metric="l2"),
    ],
)
def test_a_vector_that_the_target_cannot_hold_is_refused_until_it_is_acknowledged(
    spec: VectorSpec,
) -> None:
    target = replace(QDRANTISH, sparse=False, multi=False, dim_max=8)
    source = Side(a_collection(spec, VectorSpec("f", dim=3, metric="l2")), RICH)
    plan = plan_mapping(source, target, DOCS)
    assert ratings(plan)["vectors.e"] == "dropped"
    assert "vectors.e" in plan.refusals[0]
    accepted = DOCS.model_copy(update={"acknowledge": ("vectors.e",)})
    again = plan_mapping(source, target, accepted)
    assert again.refusals == ()
    assert [each.name for each in again.collection.vectors] == ["f"]
    assert again.mapping.vectors == (("f", "f"),)
    both = Point(Key("docs", "", 1), Image({"e": DENSE, "f": DENSE}))
    assert list(again.mapping.apply(both).image.vectors) == ["f"]


def test_a_metric_that_the_target_lacks_is_refused_whatever_is_acknowledged() -> None:
    source = Side(a_collection(VectorSpec("e", dim=3, metric="hamming")), RICH)
    accepted = DOCS.model_copy(update={"acknowledge": ("vectors.e",)})
    (refusal, *_) = plan_mapping(source, QDRANTISH, accepted).refusals
    assert "no metric hamming" in refusal
    assert "cosine, dot, l1, l2" in refusal


def test_a_collection_of_which_no_vector_would_be_left_is_refused() -> None:
    source = Side(a_collection(VectorSpec("e", kind="sparse")), RICH)
    accepted = DOCS.model_copy(update={"acknowledge": ("vectors.e",)})
    plan = plan_mapping(source, replace(QDRANTISH, sparse=False), accepted)
    assert any("none of the vectors" in refusal for refusal in plan.refusals)


def test_where_a_point_has_one_vector_the_user_says_which_by_giving_up_the_others() -> None:
    source = Side(
        a_collection(VectorSpec("e", dim=3, metric="l2"), VectorSpec("f", dim=3, metric="l2")), RICH
    )
    target = replace(QDRANTISH, several_vectors=False)
    plan = plan_mapping(source, target, DOCS)
    assert ratings(plan)["vectors.f"] == "dropped"
    assert len(plan.refusals) == 1
    other = DOCS.model_copy(update={"acknowledge": ("vectors.e",)})
    again = plan_mapping(source, target, other)
    assert again.refusals == ()
    assert again.mapping.vectors == (("f", "f"),)


@pytest.mark.parametrize(
    ("dtype", "into", "rating"),
    [
        ("int8", "float32", "widened"),
        ("bfloat16", "float32", "widened"),
        ("float16", "float32", "widened"),
        ("int8", "bfloat16", "widened"),
        ("float32", "float16", "lossy"),
        ("float16", "bfloat16", "lossy"),
        ("int8", "uint8", "lossy"),
    ],
)
def test_a_type_that_is_there_already_is_rated_by_what_it_holds(
    dtype: str, into: str, rating: str
) -> None:
    there = Collection("docs", (VectorSpec("e", dtype=into, dim=3, metric="l2"),))  # type: ignore[arg-type]
    source = a_collection(VectorSpec("e", dtype=dtype, dim=3, metric="l2"))  # type: ignore[arg-type]
    plan = plan_mapping(Side(source, RICH), RICH, DOCS, there)
    assert ratings(plan)["vectors.e"] == rating
    assert bool(plan.refusals) == (rating == "lossy")


def test_bits_never_become_numbers() -> None:
    there = Collection("docs", (VectorSpec("e", dim=8, metric="l2"),))
    source = a_collection(VectorSpec("e", dtype="binary", dim=8, metric="hamming"))
    accepted = DOCS.model_copy(update={"acknowledge": ("vectors.e",)})
    assert plan_mapping(Side(source, RICH), RICH, accepted, there).refusals


def test_names_that_the_target_does_not_take_are_refused_with_the_setting_that_helps() -> None:
    target = replace(QDRANTISH, collection_name="[A-Z].*", vector_name="[a-z]+")
    source = a_collection(VectorSpec("e-5", dim=3, metric="l2"))
    refusals = plan_mapping(Side(source, RICH), target, DOCS).refusals
    assert "collections.target" in refusals[0]
    assert "'e-5'" in refusals[1]
    assert "collections.vectors" in refusals[1]
    renamed = DOCS.model_copy(update={"target": "Docs", "vectors": {"e-5": "e"}})
    assert plan_mapping(Side(source, RICH), target, renamed).refusals == ()


def test_a_metric_is_never_guessed() -> None:
    source = Side(a_collection(VectorSpec("e", dim=3)), RICH)
    assert "metric is unknown" in plan_mapping(source, QDRANTISH, DOCS).refusals[0]
    named = DOCS.model_copy(update={"metrics": {"e": "dot"}})
    plan = plan_mapping(source, QDRANTISH, named)
    assert plan.refusals == ()
    assert plan.collection.vectors[0].metric == "dot"


def test_normalisation_is_told_beforehand() -> None:
    source = Side(a_collection(VectorSpec("e", dim=3, metric="cosine")), RICH)
    assert any("norm" in warning for warning in plan_mapping(source, QDRANTISH, DOCS).warnings)


def test_string_ids_and_namespaces_are_carried_where_there_is_no_place_for_them() -> None:
    source = a_collection(id_types=frozenset({"str"}), namespaces=("", "a"))
    plan = plan_mapping(Side(source, RICH), QDRANTISH, DOCS)
    assert ratings(plan)["id"] == "carried"
    assert ratings(plan)["namespaces"] == "carried"


@pytest.mark.parametrize(
    ("change", "words"),
    [({"dim": 4}, "dim"), ({"metric": "dot"}, "metric"), ({"kind": "multi"}, "kind")],
)
def test_a_target_that_differs_is_refused_with_both_values(
    change: dict[str, object], words: str
) -> None:
    there = Collection("docs", (replace(VectorSpec("e", dim=3, metric="l2"), **change),))  # type: ignore[arg-type]
    plan = plan_mapping(Side(a_collection(), RICH), QDRANTISH, DOCS, there)
    assert any(words in refusal and "'e'" in refusal for refusal in plan.refusals)


def test_the_only_vector_of_both_sides_is_the_same_one_whatever_its_name() -> None:
    there = Collection("docs", (VectorSpec("", dim=3, metric="l2"),))
    plan = plan_mapping(Side(a_collection(), RICH), QDRANTISH, DOCS, there)
    assert plan.refusals == ()
    point = Point(Key("docs", "", 1), Image({"e": Dense("float32", 3, b"\0" * 12)}))
    there_point = plan.mapping.apply(point)
    assert list(there_point.image.vectors) == [""]
    assert plan.mapping.back(there_point) == point


def test_the_unnamed_vector_goes_by_the_name_that_it_has_there() -> None:
    source = a_collection(VectorSpec("vector", dim=3, metric="l2"))
    plan = plan_mapping(Side(source, RICH), QDRANTISH, DOCS)
    assert plan.mapping.vectors == (("vector", ""),)


def test_a_vector_name_in_the_file_that_does_not_exist_is_an_error() -> None:
    wrong = DOCS.model_copy(update={"vectors": {"x": "y"}})
    with pytest.raises(ConfigError, match="'x'"):
        plan_mapping(Side(a_collection(), RICH), QDRANTISH, wrong)
    wrong = DOCS.model_copy(update={"metrics": {"y": "l2"}})
    with pytest.raises(ConfigError, match="'y'"):
        plan_mapping(Side(a_collection(), RICH), QDRANTISH, wrong)


def test_hnsw_parameters_carry_over_between_vendors() -> None:
    index = {"index_type": "HNSW", "M": 24, "efConstruction": 150}
    source = a_collection(VectorSpec("e", dim=3, metric="l2", index=index))
    plan = plan_mapping(Side(source, RICH), QDRANTISH, DOCS)
    assert plan.collection.vectors[0].index == {"type": "hnsw", "m": 24, "ef_construct": 150}


def test_patterns_are_resolved_and_names_are_checked() -> None:
    pattern = CollectionSettings(source="docs_*", target="new_*")
    found = resolve_collections([pattern], ["docs_b", "docs_a", "other"])
    assert [(each.source, each.target) for each in found] == [
        ("docs_a", "new_docs_a"),
        ("docs_b", "new_docs_b"),
    ]
    with pytest.raises(ConfigError, match="did you mean 'docs'"):
        resolve_collections([CollectionSettings(source="dosc")], ["docs"])
    with pytest.raises(ConfigError, match="nothing_\\*"):
        resolve_collections([CollectionSettings(source="nothing_*")], ["docs"])
    with pytest.raises(ConfigError, match="twice"):
        resolve_collections(
            [
                CollectionSettings(source="a", target="x"),
                CollectionSettings(source="b", target="x"),
            ],
            ["a", "b"],
        )


@pytest.mark.parametrize(("dim", "fits"), [(3, True), (0, True), (4, False)])
def test_a_dimension_that_the_target_does_not_know_yet_fits(dim: int, fits: bool) -> None:
    existing = a_collection(VectorSpec("e", dim=dim, metric="l2"))
    plan = plan_mapping(Side(a_collection(), RICH), RICH, DOCS, existing)
    assert (plan.refusals == ()) == fits


def test_the_unnamed_vector_keeps_its_name_beside_other_dense_ones() -> None:
    both = a_collection(
        VectorSpec("vector", dim=3, metric="l2"), VectorSpec("e", dim=3, metric="l2")
    )
    alone = a_collection(VectorSpec("vector", dim=3, metric="l2"))
    for source, names in ((both, ["vector", "e"]), (alone, [""])):
        made = plan_mapping(Side(source, RICH), QDRANTISH, DOCS).collection
        assert [spec.name for spec in made.vectors] == names
