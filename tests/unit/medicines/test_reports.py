"""Our advice beside that of PharmCAT's example reports, and beside PyPGx's table of CPIC's.

Both are read at test time. `SAID` maps their sentences to our classes of action.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from endplate import evidence
from endplate.medicines import gene_advice as ga
from endplate.medicines.hla_advice import DRUGS, carbamazepine_hla
from endplate.medicines.phenotype import INDETERMINATE
from endplate.medicines.tables import table

from patients import ON, patient

pytestmark = pytest.mark.shared_data
SHIPPED = evidence.shipped()
LISTED = {drug for line in table("gene_advice").rows for drug in line["drugs"].split()}
RULES = (ga.opioid_genes, ga.nsaid_genes, ga.antidepressant_genes)

# The first pattern that is found in a sentence gives its class.
SAID = (
    (r"cautiously consider use", "caution"),
    (r"do not use (carbam|oxcarb)azepine", "avoid"),
    (r"Avoid (carbam|oxcarb)azepine", "avoid"),
    (r"NO action is required", "no_action"),
    (r"No action recommended|^No recommendation", "no_recommendation"),
    (r"Avoid venlafaxine", "avoid"),
    (r"Use 70% of the standard dose .* avoid imipramine", "reduce_or_alternative"),
    (r"Use \d+% of the standard dose", "reduce"),
    (r"Be alert to a reduced effectiveness", "usual_dose_then_switch"),
    (r"If no response", "usual_dose_then_switch"),
    (r"Initiate therapy with 25-50% of the lowest", "reduce_or_alternative"),
    (r"Choose an alternative therapy", "alternative"),
    (r"(Avoid|avoid).* (consider|Consider) a 50% reduction", "avoid_or_reduce"),
    (r"25% reduction", "reduce"),
    (r"Avoid tertiary amine use", "alternative"),  # without a dose: rapid by CYP2C19
    (r"Consider alternative drug not metabolized by CYP2C19", "alternative"),
    (r"^Avoid", "avoid"),
    (r"consider a clinically appropriate alternative", "alternative"),
    (r"^(Use \w+ label|Initiate therapy with)", "usual_dose"),
)


def class_of(text: str) -> str:
    plain = re.sub(r"<[^>]+>", " ", text).replace("\n", " ").strip()
    plain = plain.split("Other Considerations")[0]
    for pattern, action in SAID:
        if re.search(pattern, plain):
            return action
    raise AssertionError(f"no class for: {plain[:80]}")


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    found = shared_data / "pgx"
    if not (found / "pharmcat" / "examples").is_dir():
        pytest.skip("needs PharmCAT's examples beside the checkout")
    return found


def report(folder: Path, name: str) -> dict:
    path = folder / "pharmcat" / "examples" / f"{name}.report.json"
    return json.loads(path.read_text(encoding="utf-8"))


def diplotypes(folder: Path, name: str) -> dict[str, str]:
    path = folder / "pharmcat" / "examples" / f"{name}.report.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {
        row["Gene"]: row["Source Diplotype"]
        for row in csv.DictReader(lines, delimiter="\t")
        if row["Gene"] in ("CYP2D6", "CYP2C9", "CYP2C19")
    }


def ours(drug: str, genes: dict[str, str], holder: str) -> tuple[str, str, str] | None:
    """Our class, strength and words for a person with these diplotypes who takes the medicine."""
    there = patient().having(f"medicine.{drug}").having("medicine.cyp2d6_inhibitor", False)
    for gene, diplotype in genes.items():
        there.having(f"gene.{gene.lower()}.diplotype", diplotype)
    for rule in RULES:
        for found in rule(there.known_on(), SHIPPED):
            for position in found.positions:
                if position.holder == holder:
                    (row,) = position.rests_on
                    action = found.parts[holder.lower()]
                    return str(action), row.strength, position.says
    return None


@pytest.mark.parametrize("name, count", [("pharmcat.example", 26), ("pharmcat.example2", 14)])
def test_our_advice_agrees_with_an_example_report(folder, name, count):
    genes = diplotypes(folder, name)
    compared = []
    for source, by_drug in report(folder, name)["drugs"].items():
        holder = source.split()[0]
        if holder not in ("CPIC", "DPWG"):
            continue
        for drug, said in by_drug.items():
            if drug not in LISTED - set(DRUGS):
                continue
            notes = [a for g in said["guidelines"] for a in g["annotations"]]
            # DPWG says of some genes that it has nothing to say.
            notes = [a for a in notes if "does not provide" not in a["drugRecommendation"]]
            if not notes:
                mine = ours(drug, genes, holder)
                assert mine is None or mine[0] in ga.INERT, f"{holder} {drug}"
                continue
            (note,) = notes
            mine = ours(drug, genes, holder)
            assert mine is not None, f"{holder} {drug}: no advice of ours"
            action, strength, words = mine
            text = note["drugRecommendation"]
            assert action == class_of(text), f"{holder} {drug}: {action}"
            if holder == "CPIC" and note["classification"] != "No recommendation":
                assert strength == note["classification"], f"{drug}: {strength}"
            percent = re.findall(r"Use (\d+)% of the standard dose", text)
            assert all(f"{p} %" in words for p in percent), f"{holder} {drug}: {words}"
            compared.append(drug)
    assert len(compared) == count


def test_carbamazepine_in_an_example_report(folder):
    """HLA-B*15:02 present: new, and taken for more than three months."""
    for drug in DRUGS:
        for source, by_drug in report(folder, "pharmcat.example")["drugs"].items():
            holder = source.split()[0]
            if holder not in ("CPIC", "DPWG") or drug not in by_drug:
                continue
            for note in (a for g in by_drug[drug]["guidelines"] for a in g["annotations"]):
                lasting = ">3" in (note["population"] or "")
                on = ON.replace(year=ON.year - 1) if lasting else ON
                there = patient().having(f"medicine.{drug}", on=on)
                there.having("gene.hla_b_15_02")
                (found,) = carbamazepine_hla(there.known_on(), SHIPPED)
                (mine,) = [p for p in found.positions if p.holder == holder]
                wanted = class_of(note["drugRecommendation"])
                if holder == "CPIC":
                    assert (found.category, found.strength) == (wanted, note["classification"])
                assert wanted in ("avoid", "caution") and mine.says


# Where PyPGx's table says otherwise than ours, with the reason.
ONE_LINE = "one line for the scores 1.5 and 1, with the dose of 1.5"
DIFFERENT = {
    **{
        (drug, "Intermediate Metabolizer"): ONE_LINE
        for drug in (
            "celecoxib", "flurbiprofen", "ibuprofen", "lornoxicam", "meloxicam", "piroxicam",
            "tenoxicam",
        )
    },
    ("doxepin", "Normal Metabolizer"): "blank where the same line of its sisters is not",
}  # fmt: skip


def test_our_advice_beside_pypgx(folder):
    rows = list(csv.DictReader((folder / "pypgx" / "recommendation-table.csv").open()))
    different, compared = set(), 0
    for row in rows:
        drug = row["Drug"]
        genes = {row["Gene1"]: row["Phenotype1"], row["Gene2"]: row["Phenotype2"]}
        genes = {g: p for g, p in genes.items() if g.startswith("CYP") and p != "None"}
        if drug not in LISTED or not genes:
            continue
        readings = {
            g: (p.lower().replace("metabolizer", "metaboliser").replace(" ", "_"), None)
            for g, p in genes.items()
        }
        lines = ga.advice(drug, readings).get("CPIC", ())
        actions = {line["action"] for line in lines}
        theirs = row["Recommendation"]
        compared += 1
        if actions != (set() if theirs == "None" else {class_of(theirs)}):
            different.add((drug, " ".join(genes.values())))
    assert different == set(DIFFERENT)
    assert compared > 150 and all(DIFFERENT.values())
    assert INDETERMINATE not in {line["phenotype"] for line in table("gene_advice").rows}
