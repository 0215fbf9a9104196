"""``endplate score``: the names, units and ids that people type, and an earlier score beside."""

from __future__ import annotations

import json

import pytest

from endplate import rules, vocabulary
from endplate.cli.main import main


def run(capsys, *words):
    code = main(["score", *words, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out)["findings"] if code == 0 else printed.err


def score(capsys, *words):
    code, found = run(capsys, *words)
    assert code == 0, found
    return found[0]


# Each with the inputs as they are listed, and as a clinician writes them.
SAME = [
    (
        "sins location=c7 pain=mechanical lesion=lytic alignment=subluxation_or_translation "
        "vertebral_body=collapse_above_50 posterolateral=bilateral",
        "sins level=C7 mechanical_pain=yes bone_lesion=osteolytic alignment=subluxation "
        "collapse_percent=60 posterolateral_involvement=bilateral",
    ),
    (
        "sins location=junctional pain=painless lesion=blastic alignment=de_novo_deformity "
        "vertebral_body=none posterolateral=none",
        "sins location=T11-L1 pain=none lesion=sclerotic alignment=kyphosis body=none "
        "posterolateral_elements=none",
    ),
    (
        "tlics morphology=translation_or_rotation posterior_ligamentous_complex=suspected "
        "neurology=incomplete_cord",
        "tlics morphology=rotation plc=indeterminate neurological_status=incomplete",
    ),
    (
        "slic morphology=rotation_or_translation discoligamentous_complex=disrupted "
        "neurology=complete_cord ongoing_compression=yes",
        "slic morphology=translation dlc=disrupted neurology=complete continuous_compression=yes",
    ),
    ("tl_aosis morphology=a3 neurology=n1 modifier=m1", "TL-AOSIS type=A3 neuro=N1 modifiers=M1"),
    (
        "mjoa upper_limb_motor=4 lower_limb_motor=5 upper_limb_sensory=2 sphincter=2",
        "mjoa motor_arm=4 motor_leg=5 sensory_hand=2 bladder=2",
    ),
    (
        "mjoa upper_limb_motor=4 lower_limb_motor=5 upper_limb_sensory=2 sphincter=2",
        "mJOA answers=4,5,2,2",
    ),
    (
        "tokuhashi_revised karnofsky=90 extraspinal_bone_metastases=0 vertebral_metastases=1 "
        "major_organ_metastases=none primary=oesophagus palsy=e",
        "tokuhashi performance_status=90 extraspinal_bone_mets=0 vertebral_mets=1 "
        "major_organs=none primary_site=esophagus frankel=E",
    ),
    (
        "bauer_modified visceral_metastases=no primary=breast skeletal_metastases=solitary",
        "modified-bauer visceral_mets=no primary=breast solitary_skeletal_metastasis=yes",
    ),
    (
        "nesms visceral_metastases=no primary=breast skeletal_metastases=solitary "
        "independent_ambulation=yes albumin=3.5",
        "nesms visceral=no primary=breast solitary_metastasis=yes ambulatory=yes albumin_g_l=35",
    ),
    (
        "gnri albumin=3.5 weight=60 height=170 sex=male",
        "gnri albumin_g_l=35 weight_kg=60 height_m=1.7 gender=M",
    ),
    ("pni albumin=3.5 lymphocytes=1.5", "pni serum_albumin_g_l=35 tlc=1500 /uL"),
    (
        "nrs2002 weight_loss=6 weight_loss_months=2 food_intake=80 body_mass_index=24 "
        "disease_severity=mild age=71",
        "NRS-2002 weight_loss_percent=6 months=2 intake=80 bmi=24 severity=1 age=71",
    ),
    (
        "van_middendorp age=40 l3_motor=5 s1_motor=5 l3_light_touch=2 s1_light_touch=2",
        "van_middendorp age=40 l3_motor_left=3 motor_l3_right=5 s1_motor_left=5 s1_motor_right=2 "
        "l3_light_touch=2 light_touch_s1=2",
    ),
    (
        "s1_pinprick s1_pinprick_left=1 s1_pinprick_right=0",
        "s1_pinprick left=impaired right=absent",
    ),
    (
        "eq5d5l answers=2,1,2,3,2 country=usa",
        "EQ-5D-5L mobility=2 sc=1 usual_activities=2 pd=3 anxiety_depression=2 country=US",
    ),
    ("eq5d5l answers=2,1,2,3,2 country=netherlands", "eq5d5l profile=21232 value_set=NL"),
    ("nrs_pain item1=4", "nrs pain=4"),
    ("ort sex=male item1=1 item7=1", "ORT sex=m family_alcohol=yes age_16_45=yes"),
    ("pain_detect item1=2 item8=-1 item9=2", "pain_detect item1=2 course=persistent_with_attacks "
     "radiating=yes"),
    ("mfi5 diabetes=yes recent_heart_failure=no", "mFI-5 dm=yes chf=no"),
    ("charlson stroke_or_tia=yes age=50", "CCI cva=yes age=50"),
    (
        "neupsig history_of_relevant_lesion=yes plausible_distribution=yes sensory_signs=no "
        "confirmatory_test=yes",
        "neupsig nerve_lesion=yes distribution=yes sensory_loss=no test=yes",
    ),
    (
        "iasp_nociplastic duration=6 regional=yes entirely_nociceptive=no entirely_neuropathic=no "
        "history_touch=yes sleep_disturbance=yes static_allodynia=yes",
        "iasp_nociplastic months=6 regional=yes nociceptive=no neuropathic=no touch=yes "
        "poor_sleep=yes static_mechanical_allodynia=yes",
    ),
    (
        "red_flags saddle_sensory_change=yes post_void_residual=250 severe_trauma=no",
        "red_flags perineal_numbness=yes residual_ml=250 major_trauma=no",
    ),
    (
        "pain_treatments presentation=sciatica duration=2",
        "pain_treatments sciatica=yes pain_months=2",
    ),
    (
        "post_operative_red_flags day=4 temperature=38.2 days_without_stool=5 more_opioid=no",
        "post_operative_red_flags pod=4 temp=38.2 days_since_bowel_movement=5 rising_opioid=no",
    ),
]  # fmt: skip


def words(line):
    """The words of a line; a unit behind a value belongs to it."""
    found = []
    for word in line.split():
        if found and not (word[0].isalnum() or "=" in word):
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


@pytest.mark.parametrize(("listed", "typed"), SAME)
def test_a_score_is_the_same_by_the_names_that_people_type(listed, typed, capsys):
    one, other = (score(capsys, *words(line)) for line in (listed, typed))
    assert one["category"] == other["category"] and one["missing"] == other["missing"]
    assert one["value"] == pytest.approx(other["value"])
    assert one["value"] is not None or one["category"] or one["missing"]


def test_no_short_name_stands_for_two_inputs_of_one_score():
    reads = [r.reads for r in rules.find() if r.scores]
    for also in vocabulary.also_said():
        assert also.concept in vocabulary.concepts(), also
        if also.choice:
            continue
        for among in reads:
            if also.concept in among:
                assert len(vocabulary.ids_named(also.word, among)) == 1, also


def test_other_words_for_a_choice_are_choices_of_their_concept():
    for also in vocabulary.also_said():
        concept = vocabulary.concept(also.concept)
        if also.choice and concept.kind == "category":
            assert also.choice in concept.choices, also
            assert also.word not in concept.choices, also
        elif also.choice and concept.kind == "yes_no":
            assert also.choice in ("yes", "no"), also


@pytest.mark.parametrize(
    "typed",
    [
        "comi back=3 back_pain=4",
        "conut lymphocytes=450",  # per cubic millimetre; as thousands it would be normal
        "gnri albumin=35",
        "zcq before=3",
        "odi score=40 before=101",
        "odi score=40 before=50 baseline=60",
        "tokuhashi_revised primary=unknown",  # of unknown primary, or not known: not to be guessed
        "eq5d5l country=japan",
        "halicka age=50",
        "rapt",
    ],
)
def test_what_is_ambiguous_is_refused_in_one_sentence(typed, capsys):
    code, told = run(capsys, *typed.split())
    assert code == 2 and "Traceback" not in told and len(told.strip()) > 20


def test_a_model_that_is_not_built_in_says_why(capsys):
    assert "not built in" in run(capsys, "halicka")[1]


def test_an_earlier_score_gives_the_change_absolutely_relatively_and_in_state(capsys):
    _, (now, change) = run(capsys, "odi", "answers=1,1,1,1,1,1,1,1,1,1", "before=40")
    assert now["value"] == 20
    parts = change["parts"]
    assert (parts["absolute"], parts["relative_percent"], parts["pass_22"]) == (-20, -50, True)
    assert change["category"] == "improved"


def test_a_change_in_percent_needs_a_score_above_nothing(capsys):
    _, (_, change) = run(capsys, "eq5d5l", "profile=11111", "country=usa", "before=-0.2")
    assert change["parts"]["relative_percent"] is None
    assert change["parts"]["absolute"] == pytest.approx(1.2)


@pytest.mark.parametrize(("before", "says"), [(4.9, "worse"), (4.91, "no_important_change")])
def test_the_comi_is_worse_by_less_than_it_is_better(before, says, capsys):
    _, (_, change) = run(capsys, "comi", "answers=6,6,5,5,5,5,5", f"before={before}")
    assert change["category"] == says


def test_a_blank_item_on_self_harm_is_not_a_no(capsys):
    _, blank = run(capsys, "phq9", "answers=1,1,1,1,1,1,1,1,")
    assert blank[1]["about"] == "safety_blank" and blank[1]["status"] == "unknown"
    assert len(run(capsys, "phq9", "answers=1,1,1,1,1,1,1,1,0")[1]) == 1


def test_a_noted_bauer_score_counts_where_its_items_are_not_known(capsys):
    given = ("nesms", "ambulatory=yes", "albumin=3.5")
    assert score(capsys, *given, "bauer=3")["value"] == 3
    assert score(capsys, *given, "bauer=2")["value"] == 2
    items = ("visceral_metastases=no", "primary=breast", "skeletal_metastases=solitary")
    assert score(capsys, *given, "bauer=2", *items)["value"] == 3


@pytest.mark.parametrize(
    ("before", "answers", "says"),
    [  # severe before: three points count; moderate: two; mild: one
        (11, "4,4,3,3", "improved"),
        (11, "4,4,3,2", "no_important_change"),
        (12, "4,4,3,3", "improved"),
        (12, "4,4,3,2", "no_important_change"),
        (14, "4,5,3,3", "no_important_change"),
        (15, "4,6,3,3", "improved"),
        (15, "4,4,3,3", "worse"),
        (14, "4,4,3,2", "no_important_change"),
    ],
)
def test_what_counts_as_a_change_of_the_mjoa_depends_on_where_it_began(
    before, answers, says, capsys
):
    _, (now, change) = run(capsys, "mjoa", f"answers={answers}", f"before={before}")
    assert change["category"] == says
    gained = now["value"] - before
    assert change["parts"]["recovery_rate_percent"] == pytest.approx(100 * gained / (18 - before))


def test_nothing_was_lacking_before_a_full_mjoa(capsys):
    _, (_, change) = run(capsys, "mjoa", "answers=5,6,3,3", "before=18")
    assert change["parts"]["recovery_rate_percent"] is None


@pytest.mark.parametrize("word", ["unknown", "not asked", "?", ""])
def test_an_input_said_to_be_unknown_is_one_that_was_not_given(capsys, word):
    given = ["neupsig", "history_of_relevant_lesion=yes", "plausible_distribution=yes"]
    found = score(capsys, *given, f"sensory_signs={word}")
    assert found == score(capsys, *given)
    assert found["category"] == "possible"
    assert "pain.neuropathic.sensory_signs" in found["missing"]


def test_unknown_stays_a_choice_where_it_is_one(capsys):
    code, found = run(capsys, "gap", "imaging.posture=unknown", "pelvic_incidence=50")
    assert code == 0
    assert not any(a["what"] == "imaging.posture" for f in found for a in f["assumed"])
