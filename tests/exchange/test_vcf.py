"""VCF: what was tested, on which assembly, and what each copy carries; and real files."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from endplate.exchange import genotype
from endplate.exchange.intake import Intake
from endplate.exchange.vcf import is_vcf, read_vcf
from endplate.facts import InputProblem
from endplate.medicines import star_alleles
from endplate.medicines.star_alleles import called, definition, sites

from vcf_files import GRCH37, carried, file, line, person, usual

SITE = {site.name: site for site in (*sites(), *sites("research_sites"))}


@pytest.fixture
def written(tmp_path):
    def write(text, name="one.vcf"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        return path

    return write


def diplotypes(path, gene, sample=None, assembly=None):
    found = read_vcf(path, sites(), assembly)
    those = definition(gene).sites
    return called(gene, found.of(those, sample or found.samples[0]))


def facts(*paths, sample=None, assembly=None, before=()):
    intake = Intake()
    intake.facts += before
    files = genotype.read_files(paths, assembly)
    genotype.take(files, genotype.chosen(files, sample)[0], intake)
    understood = intake.understood()
    return {f.what: f for f in understood.facts}, understood


# -- real files -----------------------------------------------------------------------------------

# What each file's name states. Where today's definitions tell more than the name, why.
NAMED = {
    "cyp2c19/s1s1": "*1/*1",
    "cyp2c19/s1s1rs12248560missing": "*1/*1",
    "cyp2c19/s1s28": "*1/*28",
    "cyp2c19/s1s2rs58973490het": "*1/*2",
    "cyp2c19/s1s4s17": "*1/*4",
    "cyp2c19/s2s2": "*2/*2",
    "cyp2c19/s4as4b": "*4/*4",  # 4A and 4B are one allele today
    "cyp2c19/s4bs17": "*4/*17",
    "cyp2c19/s4s17het": "*4/*17",
    "cyp2c19/s1s17s1s4bmissingmore": "*1/*4 or *1/*17",
    # rs3758581 tells *1 from *38 and is not in these files.
    "cyp2c19/s1s17": "*1/*17 or *17/*38",
    "cyp2c19/s1s35": "*1/*35 or *35/*38",
    "cyp2c19/s1s2rs3758581missing": "*1/*2 or *2/*38",
    "cyp2c19/s4s17missingS1": "*1/*4 or *4/*38",
    "cyp2c19/rs12769205ref": "*1/*35 or *35/*38",
    "cyp2c19/rs12769205only": "*1/*2 or *1/*35 or *2/*38 or *35/*38",
    "cyp2c19/rs12769205call": "*1/*35",
    "cyp2c19/noCall": "",
    "cyp2c9/s1s1": "*1/*1",
    "cyp2c9/s1s61": "*1/*61",
    "cyp2c9/s2s24": "*2/*24",
    "cyp2c9/s2s25": "*2/*25",
    "cyp2c9/s2s3": "*2/*3",
    "cyp2c9/s24s2pluss24": "*24/[*2 + *24]",
    "cyp3a5/s1s1": "*1/*1",
    "cyp3a5/s1s1rs776746missing": "*1/*1",
    "cyp3a5/s1s7missing": "*1/*1",  # *7 lies at the missing position
    "cyp3a5/s3s9": "*3/*9",
    "cyp3a5/s3s9-homozygous": "*3/*9",
    "cyp3a5/s3s3rs55965422het": "*3/*3",
    "cyp3a5/s1s3rs776746rs55965422het": "*1/*3",
    # The name is older than *9, which rs28383479 makes today.
    "cyp3a5/s1s3rs776746rs55965422rs28383479het": "*3/*9",
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", NAMED)
def test_a_file_gives_the_diplotype_that_its_name_states(shared_data, name):
    path = shared_data / "pgx/pharmcat/testvcf" / f"{name}.vcf"
    gene = name.partition("/")[0].upper()
    assert " or ".join(diplotypes(path, gene).diplotypes) == NAMED[name]


@pytest.mark.shared_data
def test_every_file_with_a_name_is_tried(shared_data):
    folder = shared_data / "pgx/pharmcat/testvcf"
    there = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.vcf")}
    assert there == set(NAMED)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["pharmcat.example", "pharmcat.example2"])
def test_examples_agree_with_their_reports(shared_data, name):
    folder = shared_data / "pgx/pharmcat/examples"
    report = json.loads((folder / f"{name}.report.json").read_text())["genes"]
    for gene in star_alleles.GENES:
        if report[gene]["callSource"] == "MATCHER":
            reported = [one["label"] for one in report[gene]["sourceDiplotypes"]]
            assert list(diplotypes(folder / f"{name}.vcf", gene).diplotypes) == reported


@pytest.mark.shared_data
@pytest.mark.parametrize("sample, expected", [("NA18526", "*1/*10"), ("NA18565", "*10/*10")])
def test_getrm_samples_are_snp_only_until_a_call_from_outside_comes(shared_data, sample, expected):
    found, _ = facts(shared_data / f"pgx/getrm/{sample}.preprocessed.vcf")
    cyp2d6 = found["gene.cyp2d6.diplotype"]
    assert expected in str(cyp2d6.value).split(" or ")
    assert cyp2d6.details["copy_number"] == "unknown"
    assert cyp2d6.doubts == ("SNP-only, copy number unknown",)


@pytest.mark.shared_data
def test_a_hundred_samples_are_called_one_by_one(shared_data):
    files = genotype.read_files([shared_data / "pgx/pharmcat/testvcf/100samples.vcf.bgz"])
    by_gene = {}
    for sample in genotype.chosen(files, "all"):
        intake = Intake()
        genotype.take(files, sample, intake)
        for fact in intake.facts:
            by_gene.setdefault(fact.what, []).append(fact.value)
    assert len(files.samples) == 100
    for gene in star_alleles.GENES:
        # One sample has at rs67784355 an allele of which no star allele of CYP3A4 is made.
        called_in = 99 if gene == "CYP3A4" else 100
        assert len(by_gene[f"gene.{gene.lower()}.diplotype"]) == called_in
    assert by_gene["gene.cyp3a5.diplotype"].count("*3/*3") == 83


# -- tested and not tested ------------------------------------------------------------------------


def test_reference_missing_and_absent_are_three_things(written):
    site = SITE["rs776746"]
    others = usual("CYP3A5", site.name)
    reference = diplotypes(written(file([line(site, "0/0"), *others])), "CYP3A5")
    missing = diplotypes(written(file([line(site, "./."), *others])), "CYP3A5")
    absent = diplotypes(written(file(others)), "CYP3A5")
    half = diplotypes(written(file([line(site, "./1"), *others])), "CYP3A5")
    assert reference.not_tested == ()
    for found in (missing, absent, half):
        assert found.not_tested == ("rs776746",)
        assert found.not_excluded == ("*3",)


def test_what_the_tested_positions_rule_out_is_excluded(written):
    """*2 of CYP2C19 has three variants; that one of them was not tested leaves the others."""
    there = [line(s, "0/0") for s in definition("CYP2C19").sites if s.rsid != "rs3758581"]
    found = diplotypes(written(file(there)), "CYP2C19")
    assert found.not_tested == ("rs3758581",)
    assert "*1" in found.not_excluded
    assert not {"*2", "*3", "*17"} & {*found.not_excluded}


def test_a_reference_block_tests_what_it_covers(written):
    first = min(s.position for s in definition("CYP3A5").sites)
    block = f"chr7\t{first}\t.\tT\t<NON_REF>\t.\t.\tEND={first + 20_000}\tGT:DP\t0/0:30"
    variant = "chr7\t99672916\trs776746\tT\tC,<NON_REF>\t.\tPASS\tDP=30\tGT:DP\t0/1:30"
    found = diplotypes(written(file([block, variant])), "CYP3A5")
    assert found.diplotypes == ("*1/*3",)
    assert found.not_tested == ("rs55817950",)  # lies behind the block


def test_a_block_without_reads_tests_nothing(written):
    first = min(s.position for s in definition("CYP3A5").sites)
    block = f"chr7\t{first}\t.\tT\t<NON_REF>\t.\t.\tEND={first + 40_000}\tGT:DP\t0/0:0"
    assert not diplotypes(written(file([block])), "CYP3A5").tested


def test_a_block_covers_a_deletion_only_whole(written):
    site = SITE["rs9332131"]
    for end, tested in ((site.position, 0), (site.position + 1, 1)):
        block = f"chr10\t{site.position}\t.\tG\t<NON_REF>\t.\t.\tEND={end}\tGT\t0/0"
        assert diplotypes(written(file([block])), "CYP2C9").tested == tested


def test_a_line_without_alternatives_is_a_tested_reference(written):
    site = SITE["rs776746"]
    found = diplotypes(written(file([line(site, "0/0", alternatives=".")])), "CYP3A5")
    assert found.tested == 1


def test_a_copy_that_no_call_speaks_of_is_not_tested(written):
    site = SITE["rs776746"]
    for text in (".", "1", "."):
        assert not diplotypes(written(file([line(site, text)])), "CYP3A5").tested


# -- how a variant is written ---------------------------------------------------------------------


@pytest.mark.parametrize("gene", star_alleles.GENES)
@pytest.mark.parametrize("phased", [True, False])
def test_two_alleles_in_a_file_are_called(written, gene, phased):
    chance = random.Random(6)
    names = [allele.name for allele in definition(gene).alleles]
    for _ in range(10):
        one, other = chance.choice(names), chance.choice(names)
        lines = person(carried(gene, one, chance), carried(gene, other, chance), phased=phased)
        found = diplotypes(written(file(lines)), gene)
        listed = {*found.diplotypes, *(() if phased else found.less_likely)}
        assert {f"{one}/{other}", f"{other}/{one}"} & listed


def test_chromosomes_with_and_without_chr_and_packed_files(written):
    text = file([line(SITE["rs1799853"], "0/1"), *usual("CYP2C9", "rs1799853")])
    plain = diplotypes(written(text), "CYP2C9")
    assert plain.diplotypes == ("*1/*2",)
    assert diplotypes(written(text.replace("\nchr10", "\n10")), "CYP2C9") == plain
    assert diplotypes(written(text.replace("\nchr10", "\nNC_000010.11")), "CYP2C9") == plain
    assert diplotypes(written(text, "one.vcf.gz"), "CYP2C9") == plain
    assert diplotypes(written(text.replace("\n", "\r\n")), "CYP2C9") == plain


def test_alleles_in_another_order(written):
    site = SITE["rs72549356"]  # two insertions are known there
    second, first = reversed(site.alternatives), site.alternatives
    there = diplotypes(written(file([line(site, "0/1")])), "CYP2D6")
    turned = line(site, "0/2", alternatives=",".join(second))
    assert diplotypes(written(file([turned])), "CYP2D6") == there
    assert first != tuple(second)


def test_a_variant_that_was_split_into_two_lines(written):
    site = SITE["rs7900194"]
    assert site.alternatives == ("A", "T")
    whole = diplotypes(written(file([line(site, "1/2")])), "CYP2C9")
    split = [line(site, "0/1", alternatives=a) for a in site.alternatives]
    assert diplotypes(written(file(split)), "CYP2C9") == whole
    phased = [line(site, "1|0", alternatives="A"), line(site, "0|1", alternatives="T")]
    assert set(diplotypes(written(file(phased)), "CYP2C9").diplotypes) == set(whole.diplotypes)


def test_lines_that_contradict_each_other_count_as_not_tested(written):
    site = SITE["rs1799853"]
    path = written(file([line(site, "1/1"), line(site, "0/1")]))
    found, understood = facts(path)
    assert "gene.cyp2c9.diplotype" not in found
    assert [p.problem for p in understood.problems] == ["genes.contradictory"]


@pytest.mark.parametrize(
    "reference, alternative, position",
    [("GAT", "GT", 0), ("CGA", "CG", -1), ("AA", "A", 2)],
)
def test_a_deletion_is_found_however_it_is_anchored(written, reference, alternative, position):
    """CYP2C9*6, written as GA>G: with more bases around, or at another unit of the repeat."""
    site = SITE["rs9332131"]
    start = site.position + position
    text = "\t".join(
        ("chr10", str(start), "rs9332131", reference, alternative, ".", ".", ".", "GT", "0/1")
    )
    found = read_vcf(written(file([text])), sites())
    assert found.at[site] == [("GA", "G", None)]


def test_more_bases_than_needed_and_neighbours_changed_together(written):
    site = SITE["rs1799853"]
    rest = usual("CYP2C9", "rs1799853")
    long = f"chr10\t{site.position - 1}\t.\tTCG\tTTG\t.\t.\t.\tGT\t0/1"
    assert diplotypes(written(file([long, *rest])), "CYP2C9").diplotypes == ("*1/*2",)
    two = f"chr10\t{site.position - 1}\t.\tAC\tGT\t.\t.\t.\tGT\t0/1"
    assert diplotypes(written(file([two, *rest])), "CYP2C9").diplotypes == ("*1/*2",)


def test_an_allele_that_no_table_has_is_not_taken_for_the_reference(written):
    path = written(file([line(SITE["rs1799853"], "0/1", alternatives="G")]))
    found, understood = facts(path)
    assert found == {}
    (problem,) = understood.problems
    assert problem.problem == "genes.no_diplotype" and "rs1799853" in problem.says


def test_phase_sets_are_kept_apart(written):
    first, second = SITE["rs3745274"], SITE["rs2279343"]
    rest = usual("CYP2B6", "rs3745274", "rs2279343")
    lines = [line(first, "0|1:7", form="GT:PS"), line(second, "1|0:7", form="GT:PS")]
    assert diplotypes(written(file([*lines, *rest])), "CYP2B6").diplotypes == ("*4/*9",)
    lines = [line(first, "0|1:7", form="GT:PS"), line(second, "1|0:9", form="GT:PS")]
    assert not diplotypes(written(file(lines)), "CYP2B6").is_phased


def test_a_line_that_failed_a_filter_is_doubted(written):
    found, _ = facts(written(file([line(SITE["rs1799853"], "0/1", filter="LowQual")])))
    assert found["gene.cyp2c9.diplotype"].doubts == (
        "did not pass the filters of the file: rs1799853",
    )


# -- assemblies -----------------------------------------------------------------------------------


def on_grch37(gene, one, other, *, phased=False):
    """The lines of a person on GRCh37, at the positions that are known there."""
    lines = []
    for site in one:
        if site.position_grch37 is None:
            continue
        order = list(dict.fromkeys((site.reference_grch37, site.reference, *site.alternatives)))
        mark = "|" if phased else "/"
        text = f"{order.index(one[site])}{mark}{order.index(other[site])}"
        lines.append(
            f"{site.chromosome}\t{site.position_grch37}\t.\t{order[0]}\t{','.join(order[1:])}"
            f"\t.\t.\t.\tGT\t{text}"
        )
    return lines


@pytest.mark.parametrize("gene", star_alleles.GENES)
def test_the_same_person_on_both_assemblies(written, gene):
    chance = random.Random(7)
    known = {s for s in definition(gene).sites if s.position_grch37 is not None}
    names = [allele.name for allele in definition(gene).alleles]
    for _ in range(10):
        copies = [carried(gene, chance.choice(names), chance) for _ in range(2)]
        old = diplotypes(written(file(on_grch37(gene, *copies), head=GRCH37)), gene)
        lines = person(*[{s: x for s, x in c.items() if s in known} for c in copies],
                       phased=False)  # fmt: skip
        assert old == diplotypes(written(file(lines)), gene)


def test_a_reference_that_differs_between_assemblies(written):
    """GRCh37 has at rs3758581 what GRCh38 calls the variant."""
    site = SITE["rs3758581"]
    assert (site.reference, site.reference_grch37) == ("A", "G")
    block = f"10\t{site.position_grch37}\t.\tG\t.\t.\t.\t.\tGT\t0/0"
    found = read_vcf(written(file([block], head=GRCH37)), sites())
    assert found.at[site] == [("G", "G", None)]


@pytest.mark.parametrize(
    "head, assembly",
    [
        ("##contig=<ID=22,length=51304566>", "GRCh37"),
        ("##contig=<ID=chr22,length=50818468>", "GRCh38"),
        ("##reference=hg19.fa", "GRCh37"),
        ("##contig=<ID=chr7,assembly=hg38>", "GRCh38"),
        ("##reference=file:///data/hs37d5.fa", "GRCh37"),
    ],
)
def test_the_assembly_is_found_in_the_header(written, head, assembly):
    assert read_vcf(written(file([], head=head)), sites()).assembly == assembly


def test_the_assembly_is_found_from_rsids(written):
    site = SITE["rs1799853"]
    new = file([line(site, "0/1")], head="##source=x")
    assert read_vcf(written(new), sites()).assembly == "GRCh38"
    old = new.replace(str(site.position), str(site.position_grch37))
    assert read_vcf(written(old), sites()).assembly == "GRCh37"


def test_an_assembly_that_cannot_be_known_is_asked_for(written):
    lines = [line(SITE["rs1799853"], "0/1"), *usual("CYP2C9", "rs1799853")]
    nameless = ["\t".join((*text.split("\t")[:2], ".", *text.split("\t")[3:])) for text in lines]
    text = file(nameless, head="##source=x")
    path = written(text)
    with pytest.raises(InputProblem, match="GRCh37 or GRCh38; neither its header"):
        read_vcf(path, sites())
    assert diplotypes(path, "CYP2C9", assembly="GRCh38").diplotypes == ("*1/*2",)


def test_an_assembly_told_against_the_header_is_refused(written):
    with pytest.raises(InputProblem, match="GRCh37 was given and the header says GRCh38"):
        read_vcf(written(file([])), sites(), "GRCh37")
    with pytest.raises(InputProblem, match="names another assembly"):
        read_vcf(written(file([], head="##reference=chm13v2.0.fa")), sites())


def test_a_reference_base_that_is_not_the_assemblys_is_not_used(written):
    text = line(SITE["rs1799853"], "0/1").replace("\tC\tT\t", "\tG\tT\t")
    found, understood = facts(written(file([text])))
    assert found == {}
    assert [p.problem for p in understood.problems] == ["genes.reference_differs"]


# -- research -------------------------------------------------------------------------------------


def test_research_variants_are_on_the_plus_strand(written):
    lines = [line(SITE["rs1045642"], "0/1"), line(SITE["rs1799971"], "1/1")]
    found, _ = facts(written(file(lines)))
    assert found["gene.abcb1.rs1045642"].value == "A/G"
    assert found["gene.oprm1.rs1799971"].value == "G/G"


def test_a_variant_without_a_known_position_is_found_by_its_rsid(written):
    here = "14\t54912273\trs8007267\tC\tT\t.\t.\t.\tGT\t0/1"
    palindrome = "14\t54893421\trs3783641\tT\tA\t.\t.\t.\tGT\t0/1"
    found, _ = facts(written(file([here, palindrome])))
    assert found["gene.gch1.rs8007267"].value == "C/T"
    assert "look the same" in found["gene.gch1.rs3783641"].details["strand"]


def test_alleles_of_the_other_strand_are_refused(written):
    turned = "14\t54912273\trs8007267\tG\tA\t.\t.\t.\tGT\t0/1"
    found, understood = facts(written(file([turned])))
    assert found == {}
    assert [p.problem for p in understood.problems] == ["genes.other_strand"]


@pytest.mark.parametrize(
    "variants, expected",
    [
        ("0/0 0/0 0/0 0/0", "HPS/HPS"),
        ("1/1 0/0 1/1 0/0", "LPS/LPS"),
        ("0/1 0/1 0/1 0/1", "APS/LPS"),
        ("0/0 0/1 0/0 0/1", "APS/HPS"),
        ("0/1 0/0 0/1 0/0", "HPS/LPS"),
        ("0/0 0/1 0/0 ./.", "APS/HPS"),
        ("./. ./. ./. 0/0", "HPS/HPS or HPS/LPS or LPS/LPS"),
        ("0/0 1/1 0/0 0/0", None),
        ("0|1 0|1 0|1 0|1", None),
        ("0|1 1|0 0|1 1|0", "APS/LPS"),
    ],
)
def test_haplotypes_of_comt(written, variants, expected):
    names = ("rs6269", "rs4633", "rs4818", "rs4680")
    lines = [line(SITE[n], text) for n, text in zip(names, variants.split(), strict=True)]
    found, _ = facts(written(file(lines)))
    value = found["gene.comt.diplotype"].value if "gene.comt.diplotype" in found else None
    assert value == expected


# -- several people, several files, and what cannot be used ---------------------------------------


def test_one_of_several_samples(written):
    site = SITE["rs776746"]
    path = written(file([line(site, "0/0", "0/1")], samples=("a", "b")))
    assert facts(path, sample="b")[0]["gene.cyp3a5.diplotype"].value == "*1/*3"
    with pytest.raises(InputProblem, match="has several samples"):
        facts(path)
    with pytest.raises(InputProblem, match="no sample of that name"):
        facts(path, sample="c")


def test_several_files_of_one_person(written):
    one = written(file([line(SITE["rs1799853"], "0/1")]), "chr10.vcf")
    two = written(file([line(SITE["rs776746"], "1/1")]), "chr7.vcf")
    found, _ = facts(one, two)
    assert found["gene.cyp2c9.diplotype"].source == "chr10.vcf"
    assert found["gene.cyp3a5.diplotype"].value == "*3/*3"


@pytest.mark.parametrize(
    "content, says",
    [
        (b"BCF\x02\x02", "got BCF"),
        (b"not a vcf\n", "must begin with ##fileformat=VCF"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n", "got none"),
        (b"##fileformat=VCFv4.2\n", "the file ends before"),
    ],
)
def test_what_is_no_vcf_with_genotypes(tmp_path, content, says):
    path = tmp_path / "x.vcf"
    path.write_bytes(content)
    with pytest.raises(InputProblem, match=says):
        read_vcf(path, sites())


def test_a_packed_file_that_breaks_off(written):
    path = written(file([line(SITE["rs1799853"], "0/1")] * 2000), "one.vcf.gz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputProblem, match="breaks off"):
        read_vcf(path, sites())


def test_a_line_with_too_few_columns_or_unknown_alleles(written):
    good = line(SITE["rs1799853"], "0/1")
    for bad in (good.rsplit("\t", 1)[0], good.replace("0/1", "0/4")):
        with pytest.raises(InputProblem, match="Each line must have the columns"):
            read_vcf(written(file([bad])), sites())


def test_a_vcf_is_known_by_its_content(written, tmp_path):
    assert is_vcf(written(file([]), "data.txt"))
    assert is_vcf(written(file([]), "data.gz"))
    other = tmp_path / "x.gz"
    other.write_bytes(b"\x1f\x8bdamaged")
    assert not is_vcf(other) and not is_vcf(tmp_path / "absent")


def test_unread_parts_are_never_in_a_message(written):
    path = written(file([], samples=("Jane Doe", "John Doe")))
    with pytest.raises(InputProblem) as problem:
        facts(path)
    assert "Doe" not in str(problem.value)
