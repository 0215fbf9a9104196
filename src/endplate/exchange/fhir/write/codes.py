"""Which of a concept's verified codes say exactly what the concept says, and so may be written.

The vocabulary's codes serve reading, where many codes lead to one concept: a metastasis of the
prostate counts as a malignancy, a result per mole as one per mass, a score of the left hip as
one of the hip. Written back, such a code would say more than is known. So a code is written only
if it stands here; every other concept is written under its own id alone. All of them are in
``evidence/vocabulary/codes.csv`` with the source in which they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from endplate import vocabulary
from endplate.facts import Side
from endplate.vocabulary import Code

# LOINC codes of results in the unit that the concept is held in; one code for each side, if any.
LOINC: Mapping[str, tuple[str, ...]] = {
    "bone.frax_hip": ("90266-8",),
    "bone.frax_major": ("90265-0",),
    "bone.mineral_density.femur": ("24701-5", "80953-3", "80954-1"),
    "bone.mineral_density.lumbar_spine": ("24966-4",),
    "bone.mineral_density.site_unknown": ("46383-6",),
    "bone.mineral_density.total_hip": ("38261-4", "46278-8", "46279-6"),
    "bone.t_score.femur": ("38263-0", "80947-5", "80948-3"),
    "bone.t_score.lumbar_spine": ("38267-1",),
    "bone.t_score.total_hip": ("38264-8", "80945-9", "80946-7"),
    "bone.z_score.femur": ("80934-3", "80939-2", "80940-0"),
    "bone.z_score.lumbar_spine": ("85394-5",),
    "bone.z_score.total_hip": ("80933-5", "80937-6", "80938-4"),
    "lab.alanine_aminotransferase": ("1742-6",),
    "lab.albumin": ("1751-7",),
    "lab.alkaline_phosphatase": ("6768-6",),
    "lab.aspartate_aminotransferase": ("1920-8",),
    "lab.c_reactive_protein": ("1988-5",),
    "lab.c_telopeptide": ("41171-0",),
    "lab.calcium_albumin_corrected": ("46099-8",),
    "lab.cholesterol": ("2093-3",),
    "lab.egfr": ("69405-9",),
    "lab.erythrocyte_sedimentation_rate": ("30341-2",),
    "lab.free_thyroxine": ("3024-7",),
    "lab.gamma_glutamyl_transferase": ("2324-2",),
    "lab.haemoglobin": ("718-7",),
    "lab.hba1c": ("4548-4",),
    "lab.kappa_lambda_ratio": ("48378-4",),
    "lab.ldl_cholesterol": ("2089-1",),
    "lab.leukocytes": ("26464-8",),
    "lab.lymphocytes": ("26474-7",),
    "lab.magnesium": ("19123-9",),
    "lab.monoclonal_protein": ("33358-3",),
    "lab.p1np": ("77370-5",),
    "lab.parathyroid_hormone": ("2731-8",),
    "lab.phosphate": ("2777-1",),
    "lab.platelets": ("26515-7",),
    "lab.testosterone": ("2986-8",),
    "lab.thyrotropin": ("3016-3",),
    "lab.total_protein": ("2885-2",),
    "lab.transglutaminase_iga": ("31017-7",),
    "lab.triglycerides": ("2571-8",),
    "lab.urine_calcium_24h": ("6874-2",),
    "lab.urine_creatinine_24h": ("2162-6",),
    "person.body_mass_index": ("39156-5",),
    "person.height": ("8302-2",),
    "person.weight": ("29463-7",),
}

# A result may have come from serum or from whole blood, or be of one form of a vitamin: to order
# such a test a usual code will do, to say what was measured it would be a guess.
TO_ORDER: Mapping[str, str] = {
    "lab.bilirubin": "1975-2",
    "lab.calcium": "17861-6",
    "lab.calcium_ionised": "1995-0",
    "lab.creatinine": "2160-0",
    "lab.glucose": "2345-7",
    "lab.vitamin_d": "62292-8",
}

# SNOMED CT, and ICD-10 where the whole category is the concept.
PRESENCE: Mapping[str, tuple[str, ...]] = {
    "condition.alcohol_dependence": ("66590003",),
    "condition.ankylosing_spondylitis": ("9631008",),
    "condition.atypical_femoral_fracture": ("890095006",),
    "condition.bone_metastasis": ("94222008",),
    "condition.breast_cancer": ("254837009",),
    "condition.chronic_kidney_disease_3": ("433144002",),
    "condition.chronic_kidney_disease_4": ("431857002",),
    "condition.chronic_kidney_disease_5": ("433146000",),
    "condition.coeliac_disease": ("396331005",),
    "condition.cushing_syndrome": ("E24",),
    "condition.diabetes": ("73211009",),
    "condition.diabetes_type_1": ("46635009",),
    "condition.diabetes_type_2": ("44054006",),
    "condition.diffuse_idiopathic_skeletal_hyperostosis": ("31487001",),
    "condition.epilepsy": ("84757009",),
    "condition.hypercalcaemia": ("66931009",),
    "condition.hyperlipidaemia": ("55822004",),
    "condition.hyperparathyroidism": ("66999008",),
    "condition.hyperthyroidism": ("34486009",),
    "condition.hypocalcaemia": ("5291005",),
    "condition.hypogonadism": ("48130008",),
    "condition.hypothyroidism": ("40930008",),
    "condition.inflammatory_bowel_disease": ("24526004",),
    "condition.lumbar_spinal_stenosis": ("18347007",),
    "condition.malabsorption": ("32230006",),
    "condition.malignancy": ("363346000",),
    "condition.multiple_myeloma": ("109989006",),
    "condition.myocardial_infarction": ("22298006",),
    "condition.myocardial_infarction_history": ("399211009",),
    "condition.organ_transplant": ("Z94",),
    "condition.osteopenia": ("312894000",),
    "condition.osteoporosis": ("64859006",),
    "condition.osteoporotic_fracture": ("443165006",),
    "condition.paget_disease": ("2089002",),
    "condition.prostate_cancer": ("399068003",),
    "condition.rheumatoid_arthritis": ("69896004",),
    "condition.scoliosis": ("298382003",),
    "condition.skeletal_malignancy": ("428281000",),
    "condition.spondylolisthesis": ("274152003",),
    "condition.stroke": ("230690007",),
    "condition.stroke_history": ("275526006",),
    "fracture.hip": ("263225007",),
    "fracture.pelvis": ("77493009",),
    "fracture.proximal_humerus": ("127286005",),
    "fracture.vertebral": ("50448004",),
    "person.pregnant": ("77386006",),
    "person.recurrent_falls": ("279992002",),
    "procedure.bariatric_surgery": ("430715008",),
    "procedure.dxa": ("241686001",),
    "procedure.hip_replacement": ("397956004",),
    "procedure.laminectomy": ("387731002",),
    "procedure.radiotherapy": ("108290001",),
}

# Codes of medicines name the ingredient or the class itself, but for these: a brand, a mixture.
NOT_THE_MEDICINE = frozenset({"A12AX", "M05BB"})

_FIRST = ("loinc", "snomed", "rxnorm", "icd10", "icd10cm", "atc")


def written_codes(what: str, side: Side | None = None) -> tuple[Code, ...]:
    """The codes under which a concept may be written, LOINC first.

    Parameters
    ----------
    what
        Concept id.
    side
        Picks the code of that side where there is one, and else the code without a side.
    """
    there = vocabulary.codes_of(what)
    if what.startswith("medicine."):
        found = [c for c in there if c.code not in NOT_THE_MEDICINE]
    else:
        allowed = {*LOINC.get(what, ()), *PRESENCE.get(what, ())}
        found = [c for c in there if c.code in allowed]
    sided = [c for c in found if side is not None and c.side == side]
    one_for_each = {c.system: c for c in reversed(sided or [c for c in found if not c.side])}
    return tuple(sorted(one_for_each.values(), key=lambda c: _FIRST.index(c.system)))


def order_codes(what: str) -> tuple[Code, ...]:
    """The codes under which a test for a concept may be proposed."""
    usual = TO_ORDER.get(what)
    return tuple(c for c in vocabulary.codes_of(what) if c.code == usual) or written_codes(what)
