"""Small molecules and ions of many functional groups, of which contacts are made."""

from __future__ import annotations

from distill.data.sets.dimers import MONOMERS
from distill.data.sets.handovers import MORE

HALOGENS = {
    "fluorobenzene": "Fc1ccccc1", "chlorobenzene": "Clc1ccccc1", "bromobenzene": "Brc1ccccc1",
    "4-fluoroiodobenzene": "Fc1ccc(I)cc1", "4-iodopyridine": "Ic1ccncc1",
    "chloroform": "ClC(Cl)Cl", "dibromomethane": "BrCBr",
    "pentafluoroiodoethane": "FC(F)(F)C(F)(F)I",
    "bromopentafluoroethane": "FC(F)(F)C(F)(F)Br", "chlorotrifluoromethane": "FC(F)(F)Cl",
    "trifluoroiodoethene": "FC(F)=C(F)I", "iodopropyne": "CC#CI", "bromopropyne": "CC#CBr",
    "chloropropyne": "CC#CCl", "N-chloroacetamide": "CC(=O)NCl", "N-bromoacetamide": "CC(=O)NBr",
    "N-iodoacetamide": "CC(=O)NI", "N-chloropyrrolidinone": "O=C1CCCN1Cl",
    "N-bromopyrrolidinone": "O=C1CCCN1Br", "N-iodopyrrolidinone": "O=C1CCCN1I",
    "chlorine": "ClCl", "bromine": "BrBr", "iodine": "II", "bromine chloride": "BrCl",
    "iodine chloride": "ICl", "chlorine fluoride": "FCl", "bromine fluoride": "FBr",
}  # fmt: skip
PLAIN = {
    "hydrogen fluoride": "F", "hydrogen chloride": "Cl", "hydrogen bromide": "Br",
    "hydrogen sulfide": "S", "phosphine": "P", "hydrogen cyanide": "C#N", "formamide": "NC=O",
    "ethanol": "CCO", "ethane": "CC", "propane": "CCC", "butane": "CCCC", "pentane": "CCCCC",
    "hexane": "CCCCCC", "heptane": "CCCCCCC", "isobutane": "CC(C)C", "neopentane": "CC(C)(C)C",
    "cyclopropane": "C1CC1", "cyclopentane": "C1CCCC1", "cyclohexane": "C1CCCCC1",
    "propene": "CC=C", "butadiene": "C=CC=C", "toluene": "Cc1ccccc1",
    "naphthalene": "c1ccc2ccccc2c1", "indole": "c1ccc2[nH]ccc2c1", "uracil": "O=c1cc[nH]c(=O)[nH]1",
    "cytosine": "Nc1cc[nH]c(=O)n1", "adenine": "Nc1ncnc2[nH]cnc12", "pyrazine": "c1cnccn1",
    "pyrimidine": "c1cncnc1", "triazine": "c1ncncn1", "oxazole": "c1cocn1", "thiazole": "c1cscn1",
    "pyrazole": "c1cn[nH]c1", "2-pyridone": "O=c1cccc[nH]1", "2-aminopyridine": "Nc1ccccn1",
    "benzonitrile": "N#Cc1ccccc1", "nitrobenzene": "O=[N+]([O-])c1ccccc1",
    "dimethylformamide": "CN(C)C=O", "carbon dioxide": "O=C=O", "nitrogen": "N#N",
    "carbonyl sulfide": "O=C=S", "carbon disulfide": "S=C=S", "sulfur dioxide": "O=S=O",
    "dimethyl disulfide": "CSSC", "sulfur difluoride": "FSF", "sulfur dichloride": "ClSCl",
    "phosphorus trichloride": "ClP(Cl)Cl", "trimethylphosphine": "CP(C)C",
    "methyl azide": "CN=[N+]=[N-]", "pyridine N-oxide": "[O-][n+]1ccccc1",
    "tetrahydrofuran": "C1CCOC1", "piperidine": "C1CCNCC1", "acetaldehyde": "CC=O",
    "ketene": "C=C=O", "thioacetone": "CC(C)=S", "trifluoroethanol": "OCC(F)(F)F",
    "difluoromethane": "FCF", "tetrafluoromethane": "FC(F)(F)F", "hydrogen peroxide": "OO",
    "hydrazine": "NN", "hydroxylamine": "NO", "glycolaldehyde": "OCC=O", "ethylene glycol": "OCCO",
    "ethylenediamine": "NCCN", "nitric acid": "O[N+](=O)[O-]", "phosphoric acid": "OP(=O)(O)O",
}  # fmt: skip
ODD = {
    "sulfur difluoride", "sulfur dichloride", "phosphorus trichloride", "sulfur dioxide",
    "hydrogen fluoride", "hydrogen chloride", "hydrogen bromide", "nitrogen", "carbonyl sulfide",
    "carbon disulfide", "tetrafluoromethane", "phosphine", "hydrazine", "hydrogen peroxide",
    "hydroxylamine", "ketene", "nitric acid",
}  # fmt: skip
"""Of PLAIN, those that drugs do not resemble."""
IONS = {
    "fluoride": "[F-]", "chloride": "[Cl-]", "bromide": "[Br-]", "iodide": "[I-]",
    "hydroxide": "[OH-]", "hydrosulfide": "[SH-]", "cyanide": "[C-]#N", "azide": "[N-]=[N+]=[N-]",
    "formate": "[O-]C=O", "propanoate": "CCC(=O)[O-]", "trifluoroacetate": "[O-]C(=O)C(F)(F)F",
    "nitrate": "[O-][N+](=O)[O-]", "nitrite": "[O-]N=O", "phenolate": "[O-]c1ccccc1",
    "methanethiolate": "C[S-]", "methanesulfonate": "CS(=O)(=O)[O-]",
    "triflate": "[O-]S(=O)(=O)C(F)(F)F", "hydrogen sulfate": "OS(=O)(=O)[O-]",
    "dihydrogen phosphate": "OP(=O)(O)[O-]", "dicyanamide": "N#C[N-]C#N",
    "thiocyanate": "N#C[S-]", "hexafluorophosphate": "F[P-](F)(F)(F)(F)F",
    "perchlorate": "[O-]Cl(=O)(=O)=O", "methoxide": "C[O-]", "succinimidate": "O=C1CCC(=O)[N-]1",
    "imidazolate": "c1c[n-]cn1",
    "hydronium": "[OH3+]", "ammonium": "[NH4+]", "dimethylammonium": "C[NH2+]C",
    "tetramethylammonium": "C[N+](C)(C)C", "ethylammonium": "CC[NH3+]",
    "hydroxyethylammonium": "[NH3+]CCO", "pyrrolidinium": "C1CC[NH2+]C1",
    "dimethylpyrrolidinium": "C[N+]1(C)CCCC1", "methylpyridinium": "C[n+]1ccccc1",
    "dimethylimidazolium": "Cn1cc[n+](C)c1", "1-methylimidazolium": "Cn1cc[nH+]c1",
    "tetramethylphosphonium": "C[P+](C)(C)C", "trimethylsulfonium": "C[S+](C)C",
    "acetamidinium": "CC(N)=[NH2+]", "protonated formamide": "NC=[OH+]",
    "protonated methanol": "C[OH2+]", "phosphonium": "[PH4+]",
}  # fmt: skip
ALL = {**MONOMERS, **MORE, **HALOGENS, **PLAIN, **IONS}
