"""Observations: every kind of value, status, date and site."""

from __future__ import annotations

from datetime import date

import pytest

from unit.exchange.made_fhir import (
    LOINC,
    SNOMED,
    UCUM,
    coded,
    coding,
    condition,
    ignored,
    observation,
    problems,
    quantity,
    read,
    values,
)


def one(*resources):
    (fact,) = read(*resources).facts
    return fact


# -- values -----------------------------------------------------------------------------------


def test_a_quantity_becomes_a_dated_fact_in_the_concepts_unit():
    fact = one(observation(valueQuantity=quantity(80, "umol/L")))
    assert fact.what == "lab.creatinine"
    assert fact.number == pytest.approx(80 / 88.4, rel=1e-3)
    assert (fact.unit, fact.on, fact.source) == ("mg/dL", date(2026, 1, 31), "Observation/1")
    assert fact.quality == "ok"


def test_the_same_result_in_another_unit_is_the_same_fact():
    in_mass = one(observation("lab.vitamin_d", valueQuantity=quantity(30, "ng/mL")))
    in_amount = one(observation("lab.vitamin_d", valueQuantity=quantity(74.88, "nmol/L")))
    assert in_amount.number == pytest.approx(in_mass.number, abs=0.05)


def test_a_code_of_a_standard_system_is_recognised():
    code = coded("38483-4", LOINC)
    assert one(observation(code=code)).what == "lab.creatinine"


def test_the_precise_one_of_several_codes_counts():
    code = {"coding": [coding("fracture.any"), coding("fracture.hip")]}
    assert one(observation(code=code, valueBoolean=True)).what == "fracture.hip"


def test_codes_that_disagree_are_doubtful():
    code = {"coding": [coding("lab.creatinine"), coding("lab.calcium")]}
    fact = one(observation(code=code))
    assert fact.what == "lab.creatinine" and "different things" in fact.doubts[0]


def test_a_local_code_is_recognised_by_its_name_and_doubtful():
    code = {"coding": [coding("4711", "urn:lab", "eGFR")]}
    fact = one(observation(code=code, valueQuantity=quantity(50, "mL/min/{1.73_m2}")))
    assert fact.what == "lab.egfr" and fact.quality == "doubtful"


def test_a_name_is_not_trusted_for_another_material():
    code, value = {"text": "Glucose"}, quantity(90, "mg/dL")
    assert one(observation(code=code, valueQuantity=value)).what == "lab.glucose"
    reading = read(observation(code=code, valueQuantity=value, specimen={"display": "Urine"}))
    assert reading.facts == () and ignored(reading) == ["fhir.code_not_used"]


@pytest.mark.parametrize(
    "system, code",
    [
        ("http://loinc.org/", "38483-4"),
        ("https://loinc.org", "38483-4"),
        ("http://loinc.org|2.78", " 38483-4"),
        ("urn:oid:2.16.840.1.113883.6.1", "38483-4"),
    ],
)
def test_a_system_is_recognised_however_its_address_is_written(system, code):
    assert one(observation(code=coded(code, system))).what == "lab.creatinine"
    snomed = coded("64859006", "http://snomed.info/sct/731000124108/version/20240301")
    assert one(condition(code=snomed)).what == "condition.osteoporosis"


def test_an_unknown_standard_code_keeps_its_own_meaning():
    in_urine, local = coding("25428-4", LOINC, "Glucose"), coding("7", "urn:lab", "Glucose")
    for codes in ([in_urine], [in_urine, local], [local, in_urine]):
        reading = read(observation(code={"coding": codes, "text": "Glucose"}))
        assert reading.facts == () and ignored(reading) == ["fhir.code_not_used"]


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_a_comparator_makes_the_value_doubtful_and_is_kept(sign):
    fact = one(observation(valueQuantity=quantity(0.9, "mg/dL", comparator=sign)))
    assert fact.quality == "doubtful" and fact.details["comparator"] == sign


def test_an_unknown_comparator_is_refused():
    reading = read(observation(valueQuantity=quantity(0.9, "mg/dL", comparator="about")))
    assert reading.facts == () and problems(reading) == ["fhir.element_not_usable"]


@pytest.mark.parametrize(
    "value, id",
    [
        ({"value": 0.9}, "fact.unit_missing"),
        ({"value": 0.9, "unit": "widgets"}, "fact.unit_not_usable"),
        ({"value": 0.9, "unit": "widgets of a size unknown"}, "fhir.unit_not_usable"),
        ({"value": 0.9, "unit": "mmol/L", "code": "mg/dL"}, "fhir.unit_contradicts_itself"),
        ({"value": 900, "unit": "mg/dL"}, "fact.not_plausible"),
        ({"value": "much", "unit": "mg/dL"}, "fhir.element_not_usable"),
        ({"unit": "mg/dL"}, "fhir.no_value"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_problem_and_no_guess(value, id):
    reading = read(observation(valueQuantity=value))
    assert reading.facts == () and problems(reading) == [id]
    assert reading.problems[0].where == "made.ndjson:1"


def test_a_unit_text_that_is_only_a_label_does_not_contradict_the_code():
    value = {"value": 250, "unit": "K/uL", "system": UCUM, "code": "10*3/uL"}
    assert one(observation("lab.platelets", valueQuantity=value)).number == 250


def test_the_unit_text_helps_where_the_code_is_not_understood():
    value = {"value": 0.9, "unit": "mg/dL", "system": UCUM, "code": "mgdl!"}
    fact = one(observation(valueQuantity=value))
    assert fact.number == 0.9 and "unit's text" in fact.doubts[0]


def test_a_number_as_a_text_and_a_list_of_one_are_read():
    assert one(observation(valueQuantity={"value": "0.9", "unit": "mg/dL"})).number == 0.9
    assert one(observation(valueQuantity=[quantity(0.9, "mg/dL")])).number == 0.9


@pytest.mark.parametrize(
    "text, number, sign",
    [
        ("24 ng/mL", 24, None),
        ("24,5 ng/mL", 24.5, None),
        ("< 10 ng/mL", 10, "<"),
        ("≥ 30 ng/mL", 30, ">="),
    ],
)
def test_a_number_with_its_unit_in_a_text_is_read_and_doubtful(text, number, sign):
    fact = one(observation("lab.vitamin_d", valueString=text))
    assert fact.number == number and "read from a text" in fact.doubts
    assert fact.details.get("comparator") == sign


@pytest.mark.parametrize(
    "text, id",
    [
        ("see comment", "fhir.value_is_a_text"),
        ("24 per Mrs Smith", "fhir.value_is_a_text"),
        ("1,200 ng/mL", "fhir.value_ambiguous"),
        ("24", "fact.unit_missing"),
        ("1.2.3 ng/mL", "fhir.value_is_a_text"),
    ],
)
def test_a_text_that_is_no_number_is_a_problem_that_does_not_quote_it(text, id):
    reading = read(observation("lab.vitamin_d", valueString=text))
    assert reading.facts == () and problems(reading) == [id]
    assert "Smith" not in reading.problems[0].says


def test_booleans_and_integers():
    assert one(observation("person.pregnant", valueBoolean=False)).value is False
    assert one(observation("lab.kappa_lambda_ratio", valueInteger=2)).number == 2.0


def test_a_ratio_is_its_quotient_with_the_quotient_of_the_units():
    ratio = {"numerator": quantity(18, "mg"), "denominator": quantity(2, "dL")}
    assert one(observation(valueRatio=ratio)).number == 9.0
    over_nothing = {"numerator": quantity(18, "mg"), "denominator": quantity(0, "dL")}
    assert problems(read(observation(valueRatio=over_nothing))) == ["fhir.element_not_usable"]


def test_a_range_is_not_made_one_number():
    value = {"low": quantity(0.8, "mg/dL"), "high": quantity(1.0, "mg/dL")}
    reading = read(observation(valueRange=value))
    assert reading.facts == () and problems(reading) == ["fhir.value_is_a_range"]


@pytest.mark.parametrize("kind", ["SampledData", "Time", "Period"])
def test_kinds_of_value_that_are_not_read_are_named(kind):
    reading = read(observation(**{f"value{kind}": {"data": "1 2 3"}}))
    assert reading.facts == () and ignored(reading) == ["fhir.value_kind_not_read"]


def test_a_date_is_read_where_a_date_is_asked_for():
    fact = one(observation("medicine.denosumab.last_dose", valueDateTime="2026-01-05"))
    assert fact.value == "2026-01-05"
    assert ignored(read(observation(valueDateTime="2026-01-05"))) == ["fhir.value_kind_not_read"]


def test_two_values_at_once_are_refused():
    reading = read(observation(valueQuantity=quantity(0.9, "mg/dL"), valueString="2 mg/dL"))
    assert reading.facts == () and problems(reading) == ["fhir.element_not_usable"]


def test_a_stated_absence_is_listed_and_is_no_value():
    reading = read(observation(valueQuantity=..., dataAbsentReason=coded("error")))
    assert reading.facts == () and ignored(reading) == ["fhir.result_absent"]


def test_a_value_beside_a_stated_absence_is_doubtful():
    assert one(observation(dataAbsentReason=coded("error"))).quality == "doubtful"


def test_interpretation_and_method_are_kept():
    fact = one(observation(interpretation=[coded("L")], method={"text": "enzymatic"}))
    assert fact.details == {"interpretation": "L", "method": "enzymatic"}


def test_a_category_is_read_by_code_or_words():
    what = "bone.dxa_manufacturer"
    assert one(observation(what, valueCodeableConcept={"text": "GE Lunar"})).value == "ge_lunar"
    assert one(observation(what, valueCodeableConcept=coded("hologic"))).value == "hologic"


# -- smoking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, display, smokes",
    [
        ("449868002", "Current every day smoker", True),
        ("428041000124106", "Current some day smoker", True),
        ("8517006", "Former smoker", False),
        ("266919005", "Never smoker", False),
    ],
)
def test_smoking_answers(code, display, smokes):
    answer = coded(code, SNOMED, display)
    smoking = observation(code=coded("72166-2", LOINC), valueCodeableConcept=answer)
    assert one(smoking).value is smokes


@pytest.mark.parametrize(
    "answer",
    [
        coded("266927001", SNOMED, "Unknown if ever smoked"),
        coded("77176002", SNOMED, "Smoker, current status unknown"),
        coded("asked-unknown", "http://terminology.hl7.org/CodeSystem/data-absent-reason"),
        {"text": "unknown"},
    ],
)
def test_an_unknown_answer_stays_unknown(answer):
    reading = read(observation("person.smoker", valueCodeableConcept=answer))
    assert reading.facts == () and ignored(reading) == ["fhir.answer_unknown"]


def test_an_answer_in_words_is_doubtful_and_a_strange_one_is_a_problem():
    fact = one(observation("person.smoker", valueString="Former smoker"))
    assert fact.value is False and fact.quality == "doubtful"
    reading = read(observation("person.smoker", valueCodeableConcept={"text": "sometimes"}))
    assert reading.facts == () and problems(reading) == ["fhir.answer_not_understood"]


def test_answers_that_contradict_each_other_are_refused():
    both = {"coding": [coding("8517006", SNOMED), coding("449868002", SNOMED)]}
    reading = read(observation("person.smoker", valueCodeableConcept=both))
    assert reading.facts == () and problems(reading) == ["fhir.element_not_usable"]


def test_plain_yes_and_no_by_code():
    yes, no = coded("373066001", SNOMED), coded("LA32-8", LOINC)
    assert one(observation("person.recurrent_falls", valueCodeableConcept=yes)).value is True
    assert one(observation("person.recurrent_falls", valueCodeableConcept=no)).value is False


# -- panels -----------------------------------------------------------------------------------


def test_components_are_results_of_their_own_and_one_bad_one_costs_only_itself():
    panel = observation(
        code=coded("85354-9", LOINC),
        valueQuantity=...,
        component=[
            {"code": coded("lab.creatinine"), "valueQuantity": quantity(0.9, "mg/dL")},
            {"code": coded("lab.calcium"), "valueQuantity": "nine"},
            {"code": coded("8480-6", LOINC), "valueQuantity": quantity(120, "mm[Hg]")},
            {"code": coded("lab.albumin"), "valueQuantity": quantity(4.1, "g/dL")},
        ],
    )
    reading = read(panel)
    assert values(reading) == {"lab.creatinine": 0.9, "lab.albumin": 4.1}
    assert len(reading.problems) == 1
    whole = panel | {"code": coded("lab.egfr"), "valueQuantity": "fifty"}
    assert values(read(whole)) == values(reading)


def test_a_panel_of_unknown_parts_is_counted_once_under_its_code():
    panel = observation(
        code=coded("85354-9", LOINC, "Blood pressure panel"),
        valueQuantity=...,
        component=[{"code": coded("8480-6", LOINC), "valueQuantity": quantity(120, "mm[Hg]")}],
    )
    (line,) = read(panel, panel | {"id": "2"}).ignored
    assert line.count == 2 and "85354-9" in line.says


def test_a_panel_of_members_needs_no_value():
    members = [{"reference": "Observation/2"}]
    reading = read(observation(valueQuantity=..., hasMember=members))
    assert problems(reading) == [] and ignored(reading) == ["fhir.panel"]


# -- status and date --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "Final "])
def test_a_final_result_is_not_doubtful(status):
    assert one(observation(status=status)).quality == "ok"


@pytest.mark.parametrize("status", ["preliminary", "registered", "unknown", "strange", ...])
def test_a_result_that_is_not_final_is_doubtful(status):
    assert one(observation(status=status)).quality == "doubtful"


@pytest.mark.parametrize(
    "status, id",
    [("entered-in-error", "fhir.entered_in_error"), ("cancelled", "fhir.status")],
)
def test_a_result_that_does_not_hold_is_listed_and_not_used(status, id):
    reading = read(observation(status=status))
    assert reading.facts == () and ignored(reading) == [id]


@pytest.mark.parametrize(
    "dated, on, doubtful",
    [
        ({"effectiveDateTime": "2026-01-31"}, date(2026, 1, 31), False),
        ({"effectiveDateTime": "2026-01-31T23:30:00-11:00"}, date(2026, 1, 31), False),
        ({"effectiveDateTime": "2019-05"}, date(2019, 5, 1), True),
        ({"effectiveDateTime": "2019"}, date(2019, 1, 1), True),
        ({"effectiveInstant": "2026-01-31T08:00:00.123Z"}, date(2026, 1, 31), False),
        (
            {"effectivePeriod": {"start": "2026-01-30", "end": "2026-01-31"}},
            date(2026, 1, 30),
            False,
        ),
        ({"effectivePeriod": {"end": "2026-01-31"}}, date(2026, 1, 31), False),
        ({"effectiveTiming": {"event": ["2026-01-31"]}}, date(2026, 1, 31), False),
        ({"issued": "2026-01-31T08:00:00Z"}, date(2026, 1, 31), True),
        ({}, None, True),
    ],
)
def test_the_day_of_a_result(dated, on, doubtful):
    fact = one(observation(**{"effectiveDateTime": ..., **dated}))
    assert fact.on == on and (fact.quality == "doubtful") is doubtful


@pytest.mark.parametrize("written", ["yesterday", "2026-02-30", "2026-13", "31.01.2026", 20260131])
def test_a_date_that_cannot_be_read_costs_the_result(written):
    reading = read(observation(effectiveDateTime=written))
    assert reading.facts == () and len(reading.problems) == 1


def test_a_result_of_the_future_is_refused():
    reading = read(observation(effectiveDateTime="2026-11-21"))
    assert reading.facts == () and problems(reading) == ["fact.date_in_the_future"]


# -- site -------------------------------------------------------------------------------------

T_SCORE = {"valueQuantity": quantity(-2.6, "{T-score}")}


@pytest.mark.parametrize(
    "concept, site, what, level",
    [
        ("site_unknown", coded("29627003", SNOMED), "femoral_neck", None),
        ("site_unknown", {"text": "Left total hip"}, "total_hip", None),
        ("site_unknown", {"text": "L1-L4"}, "lumbar_spine", "L1-L4"),
        ("site_unknown", coded("36470004", SNOMED), "vertebra", "L3"),
        ("site_unknown", {"text": "33% radius"}, "distal_radius", None),
        ("site_unknown", {"text": "ultradistal radius"}, "site_unknown", None),
        ("site_unknown", {"text": "T12"}, "site_unknown", "T12"),
        ("femur", coded("29627003", SNOMED), "femoral_neck", None),
        ("femur", coded("29836001", SNOMED), "total_hip", None),
        ("femoral_neck", coded("71341001", SNOMED), "femoral_neck", None),
        ("lumbar_spine", {"text": "L2"}, "vertebra", "L2"),
        ("total_hip", coded("29627003", SNOMED), "femoral_neck", None),
        ("femoral_neck", coded("122496007", SNOMED), "site_unknown", None),
        ("femoral_neck", ..., "femoral_neck", None),
        ("site_unknown", ..., "site_unknown", None),
    ],
)
def test_a_t_score_at_its_site(concept, site, what, level):
    fact = one(observation(f"bone.t_score.{concept}", bodySite=site, **T_SCORE))
    assert fact.what == f"bone.t_score.{what}" and fact.level == level


def test_a_site_that_contradicts_the_code_is_doubtful():
    site = coded("122496007", SNOMED)
    fact = one(observation("bone.t_score.femoral_neck", bodySite=site, **T_SCORE))
    assert fact.quality == "doubtful"


def test_a_site_in_the_words_of_the_code_is_doubtful():
    code = coded("bone.t_score.site_unknown", display="T-score femoral neck")
    fact = one(observation(code=code, **T_SCORE))
    assert fact.what == "bone.t_score.femoral_neck" and fact.quality == "doubtful"
    code = coded("bone.t_score.site_unknown", display="T-score femoral neck and total hip")
    assert one(observation(code=code, **T_SCORE)).what == "bone.t_score.site_unknown"


def test_density_and_z_score_have_sites_too():
    density = {"valueQuantity": quantity(0.712, "g/cm2"), "bodySite": {"text": "femoral neck"}}
    fact = one(observation("bone.mineral_density.site_unknown", **density))
    assert fact.what == "bone.mineral_density.femoral_neck"
    lumbar = {"valueQuantity": quantity(-1, "{Z-score}"), "bodySite": {"text": "L1"}}
    assert one(observation("bone.z_score.lumbar_spine", **lumbar)).what == "bone.z_score.vertebra"


@pytest.mark.parametrize(
    "site, side",
    [
        ({"text": "right hip"}, "right"),
        ({"coding": [coding("29836001", SNOMED), coding("7771000", SNOMED)]}, "left"),
        ({"text": "left and right hip"}, None),
        ({"text": "hip"}, None),
    ],
)
def test_the_side_of_a_result(site, side):
    assert one(observation("bone.t_score.total_hip", bodySite=site, **T_SCORE)).side == side


def test_a_code_that_names_the_side_gives_it():
    fact = one(observation(code=coded("80946-7", LOINC), **T_SCORE))
    assert (fact.what, fact.side) == ("bone.t_score.total_hip", "left")


@pytest.mark.parametrize(
    "text, level",
    [
        ("L3", "L3"),
        ("Th12", "T12"),
        ("L4/5", "L4-L5"),
        ("L4 to S1", "L4-S1"),
        ("third lumbar vertebra", "L3"),
        ("disc of third lumbar vertebra", None),
        ("L1, L2 and L4", None),
        ("L9", None),
        ("T2-weighted", None),
    ],
)
def test_the_level_of_a_result(text, level):
    value = quantity(110, "[hnsf'U]")
    fact = one(observation("ct.hounsfield.axial", valueQuantity=value, bodySite={"text": text}))
    assert fact.level == level
    assert ("site" in fact.details) == (level is None)


def test_the_scanner_is_known_where_the_device_names_it():
    device = {"display": "Hologic Horizon A"}
    reading = read(observation("bone.t_score.total_hip", device=device, **T_SCORE))
    assert values(reading)["bone.dxa_manufacturer"] == "hologic"


# -- whom it is about -------------------------------------------------------------------------


def test_a_result_about_somebody_else_is_left_aside():
    reading = read(observation(focus=[{"reference": "RelatedPerson/2"}]))
    assert reading.facts == () and ignored(reading) == ["fhir.about_another"]
    assert len(read(observation(focus=[{"reference": "Patient/p1"}])).facts) == 1


def test_an_extension_that_may_turn_the_meaning_round_is_not_passed_over():
    reading = read(observation(modifierExtension=[{"url": "x", "valueBoolean": True}]))
    assert reading.facts == () and problems(reading) == ["fhir.element_not_usable"]


def test_a_result_without_a_code_is_a_problem():
    assert problems(read(observation(code=...))) == ["fhir.element_not_usable"]


def test_unknown_codes_are_folded_by_code_and_a_text_is_not_repeated():
    typed = observation(code={"text": "Mrs Smith's sodium"})
    (line,) = read(typed, typed | {"id": "2"}).ignored
    assert line.count == 2 and "Smith" not in line.says
