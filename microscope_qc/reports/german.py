"""German words and sentences of reports, by the English ones."""

from __future__ import annotations

WORDS = {
    # headings
    "Specimens": "Proben",
    "Method": "Verfahren",
    "Models": "Modelle",
    "Coverage": "Untersuchte Fläche",
    "Counts and densities": "Anzahlen und Dichten",
    "Limits and verdict": "Grenzwerte und Urteil",
    "Plots": "Diagramme",
    "Positions": "Lage",
    "Where findings lie": "Wo Befunde liegen",
    "Control charts": "Regelkarten",
    "Most severe findings": "Schwerwiegendste Befunde",
    "Worst of each class": "Schwerste Befunde jeder Klasse",
    "Gallery": "Bildübersicht",
    "Chosen for the SEM": "Für das REM ausgewählt",
    "Compositions": "Zusammensetzungen",
    "People and times": "Personen und Zeiten",
    "Hashes": "Prüfsummen",
    "Every slide": "Jeder Schliff",
    "Report": "Bericht",
    # nouns
    "defects": "Fehlstellen",
    "slide": "Schliff",
    "slides": "Schliffe",
    "of slides": "Schliffen",
    "finding": "Befund",
    "findings": "Befunde",
    "of findings": "Befunden",
    "finding that EDX measured": "mit EDX gemessenen Befund",
    "findings that EDX measured": "mit EDX gemessenen Befunden",
    "specimen": "Probe",
    "specimens": "Proben",
    "Slide": "Schliff",
    "Slides": "Schliffe",
    "All slides": "Alle Schliffe",
    "All": "Alle",
    "Class": "Klasse",
    "All classes": "Alle Klassen",
    "Findings": "Befunde",
    "Size": "Größe",
    "Name": "Name",
    "Steps": "Schritte",
    "First": "Erster",
    "Last": "Letzter",
    "Limit": "Grenzwert",
    "Limit of": "Grenzwert für",
    "Found": "Gefunden",
    "95 % bounds": "95-%-Schranken",
    "Verdict": "Urteil",
    "Why": "Begründung",
    "Source": "Quelle",
    "Share": "Anteil",
    "Number": "Nummer",
    "Position": "Lage",
    "Composition": "Zusammensetzung",
    "Value": "Wert",
    # heads of columns
    "Not reviewed": "Nicht geprüft",
    "Confirmed": "Bestätigt",
    "Rejected": "Verworfen",
    "Kept": "Gezählt",
    "Raw per mm²": "Roh je mm²",
    "Reviewed per mm²": "Geprüft je mm²",
    "Corrected per mm²": "Korrigiert je mm²",
    "Per mm²": "Je mm²",
    "Area, mm²": "Fläche, mm²",
    "Median, µm": "Median, µm",
    "90 % below, µm": "90 % kleiner als, µm",
    "Largest, µm": "Größter, µm",
    "Mean, µm": "Mittel, µm",
    "Under boxes, %": "Unter Rahmen, %",
    "Rejected of the judged": "Verworfen von den geprüften",
    "In area": "In der Fläche",
    "Outside": "Außerhalb",
    "Of slide": "Vom Schliff",
    "Area from": "Fläche aus",
    "Masked": "Ausgeblendet",
    "Scanned": "Abgesucht",
    "Not done, damaged": "Nicht fertig, beschädigt",
    "Viewed": "Angesehen",
    "Viewed at 100 %": "Angesehen bei 100 %",
    "Not looked at": "Nicht angesehen",
    "Declared complete": "Für vollständig erklärt",
    "By chance": "Nach Zufall",
    "Lower limit": "Untere Grenze",
    "Upper limit": "Obere Grenze",
    "Unusual": "Auffällig",
    "unusual": "auffällig",
    "searched": "abgesucht",
    "viewed": "angesehen",
    "not looked at": "nicht betrachtet",
    "left out by a mask": "durch Maske ausgenommen",
    "not done or unreadable": "nicht fertig oder nicht lesbar",
    "scanned": "abgesucht",
    "declared complete": "für vollständig erklärt",
    "not viewed": "nicht angesehen",
    "viewed, zoom unknown or below 10 %": "angesehen, Vergrößerung unbekannt oder unter 10 %",
    "at 10 % or more": "mit 10 % oder mehr",
    "at 25 % or more": "mit 25 % oder mehr",
    "at 50 % or more": "mit 50 % oder mehr",
    "at 100 % or more": "mit 100 % oder mehr",
    "more than by chance": "mehr als nach Zufall",
    "It has the most findings of these slides.": "Er hat die meisten Befunde dieser Schliffe.",
    "No square has more than chance explains.": "Kein Quadrat hat mehr, als Zufall erklärt.",
    "usual": "üblich",
    "range per mm²": "Spannweite je mm²",
    "moving range": "gleitende Spannweite",
    "density (u)": "Dichte (u)",
    "density (individuals)": "Dichte (Einzelwerte)",
    "density (EWMA)": "Dichte (EWMA)",
    "quality index (nQI)": "Qualitätsindex (nQI)",
    "anomalous area": "auffällige Fläche",
    "u chart": "u-Karte",
    "Laney's u' chart": "u'-Karte nach Laney",
    "Individuals and moving range": "Einzelwerte und gleitende Spannweite",
    "Quality index (nQI)": "Qualitätsindex (nQI)",
    "anomalous": "auffällig",
    "Event": "Ereignis",
    "Severity": "Schwere",
    "Class weight": "Gewicht der Klasse",
    "Anomaly": "Auffälligkeit",
    "Crowding": "Häufung",
    "State": "Zustand",
    # words
    "centre": "Mitte",
    "per mm²": "je mm²",
    "on": "auf",
    "of": "von",
    "to": "bis",
    "confirmed": "bestätigt",
    "rejected": "verworfen",
    "unreviewed": "nicht geprüft",
    "not reviewed yet": "noch nicht geprüft",
    "reviewed": "geprüft",
    "findings without the rejected ones": "Befunde ohne die verworfenen",
    "drawn": "eingezeichnet",
    "confidence": "Konfidenz",
    "worst first": "die schwersten zuerst",
    "pass": "bestanden",
    "fail": "nicht bestanden",
    "undecided": "offen",
    "under 0.1 %": "unter 0,1 %",
    "All findings that count": "Alle gezählten Befunde",
    "No density of all classes": "Keine Dichte aller Klassen",
    "No corrected density": "Keine korrigierte Dichte",
    "detection": "Erkennung",
    "detections": "Erkennungen",
    "running": "läuft",
    "stopped": "angehalten",
    "failed": "fehlgeschlagen",
    "Not in the density of all classes": "Nicht in der Dichte aller Klassen",
    "all classes": "alle Klassen",
    # reasons for a rejection
    "false positive": "falsch positiv",
    "preparation artefact": "Präparationsartefakt",
    "duplicate": "doppelt",
    "out of focus": "unscharf",
    "outside the area of interest": "außerhalb des Prüfbereichs",
    "other": "anderes",
    # plots
    "Findings per mm² by class group": "Befunde je mm² nach Klassengruppe",
    "Findings by class group": "Befunde nach Klassengruppe",
    "Shares of the classes": "Anteile der Klassen",
    "% of the findings": "% der Befunde",
    "Findings by detector and class group": "Befunde nach Detektor und Klassengruppe",
    "Sizes of all classes": "Größen aller Klassen",
    "What the review made of what models found": "Was die Prüfung aus den Befunden der Modelle machte",
    "findings per mm²": "Befunde je mm²",
    "cross-section": "Schliff",
    "longer side, µm": "längere Seite, µm",
    "What models found and missed in complete areas": "Was Modelle in vollständig geprüften Flächen fanden und "
    "übersahen",
    "class": "Klasse",
    "found": "gefunden",
    "found, as another class": "gefunden, als andere Klasse",
    "missed": "übersehen",
    "class that the model said": "Klasse, die das Modell nannte",
    "true": "richtig",
    "another class": "andere Klasse",
    "artefact": "Artefakt",
    "set aside": "zurückgestellt",
    "not judged": "nicht geprüft",
    "As the detectors found them, before the review.": "Wie die Detektoren sie fanden, vor der Prüfung.",
    "Mean composition, at%": "Mittlere Zusammensetzung, At.-%",
    "mean, at%": "Mittel, At.-%",
    "Means over the findings that were measured, each once; an element that was not found counts as 0. The 95 % "
    "intervals (t) take findings as independent of each other.": "Mittel über die gemessenen Befunde, jeden einmal; "
    "ein nicht gefundenes Element zählt als 0. Die 95-%-Intervalle (t) nehmen Befunde als voneinander unabhängig an.",
    "Production date": "Herstellungsdatum",
    "All classes against production date": "Alle Klassen über dem Herstellungsdatum",
    # acceptance
    "largest, µm": "größter, µm",
    "none at all": "gar keiner",
    "none beyond the limit was found in the area that was searched": "in der abgesuchten Fläche wurde nichts jenseits "
    "des Grenzwerts gefunden",
    # fields of specimens
    "Specimen": "Probe",
    "Batch": "Charge",
    "Producer": "Hersteller",
    "Model": "Modell",
    "Chemistry": "Chemie",
    "Cross-section label": "Schliffbezeichnung",
    "Capacity": "Kapazität",
    "Part": "Teil",
    "View": "Ansicht",
    # sentences
    "counted: all findings": "gezählt: alle Befunde",
    "nothing was scanned or declared complete": "nichts wurde abgesucht oder für vollständig erklärt",
    "nothing was scanned or declared complete for this class": "für diese Klasse wurde nichts abgesucht oder für "
    "vollständig erklärt",
    "the pixel size of the slide is not known": "die Pixelgröße des Schliffs ist nicht bekannt",
    "the pixel size is not known": "die Pixelgröße ist nicht bekannt",
    "the pixel size of a slide is not known": "die Pixelgröße eines Schliffs ist nicht bekannt",
    "no area was scanned or declared complete for all classes at once": "keine Fläche wurde für alle Klassen zugleich "
    "abgesucht oder für vollständig erklärt",
    "Shares of the whole slide. Viewed: by a user in the window, closely enough to judge. Not looked at: neither "
    "scanned nor declared complete nor viewed.": "Anteile am ganzen Schliff. Angesehen: im Fenster, nah genug für ein "
    "Urteil. Nicht angesehen: weder abgesucht noch für vollständig erklärt noch im Fenster angesehen.",
    "Squares with more findings than chance explains; 5 % of such squares at most are none.": "Quadrate mit mehr "
    "Befunden, als der Zufall erklärt; höchstens 5 % solcher Quadrate sind keine.",
    "No square has more findings than chance explains.": "Kein Quadrat hat mehr Befunde, als der Zufall erklärt.",
    "Nothing was found on these slides. Detect defects, or draw them.": "Auf diesen Schliffen wurde nichts gefunden.",
    "Nothing is known of the searched area, or of the pixel size, of these slides.": "Von der abgesuchten Fläche oder "
    "der Pixelgröße dieser Schliffe ist nichts bekannt.",
    "Nobody has kept it: medians are those of each slide, and change with it.": "Niemand hat es festgelegt: die "
    "Mediane sind die jedes Schliffs und ändern sich mit ihm.",
    "the limits are those of all points: what is unusual now has widened them": "die Grenzen sind die aller Punkte: "
    "was jetzt auffällt, hat sie geweitet",
    "nothing was judged": "nichts wurde geprüft",
    "nothing was found": "nichts wurde gefunden",
    "Nothing is shown on this slide.": "Auf diesem Schliff wird nichts gezeigt.",
    "All boxes were drawn or imported by a user; no model was used.": "Alle Rahmen wurden eingezeichnet oder "
    "importiert; kein Modell wurde verwendet.",
    "Raw: what models found. Reviewed: what the review left of it, with what users drew. Corrected: what is true if "
    "findings that nobody judged are like a random sample.": "Roh: was Modelle fanden. Geprüft: was die Prüfung davon "
    "ließ, mit dem, was eingezeichnet wurde. Korrigiert: was zutrifft, wenn ungeprüfte Befunde einer "
    "Zufallsstichprobe gleichen.",
    "errors are one standard deviation where the tables say them. In a mean, an element that a spectrum does not list "
    "counts as 0, and errors do not include the spread between spectra.": "Fehler sind eine Standardabweichung, wo die "
    "Tabellen sie nennen. In einem Mittelwert zählt ein Element, das ein Spektrum nicht nennt, als 0; Fehler enthalten "
    "die Streuung zwischen den Spektren nicht.",
    "A finding is one place on one slide, however many detections and users marked it. It counts unless it is "
    "unreviewed and below the confidence limit, or only detections that are switched off found it.": "Ein Befund ist "
    "eine Stelle auf einem Schliff, gleich wie viele Erkennungen und Personen sie markierten. Er zählt, außer er ist "
    "ungeprüft und unter der Konfidenzgrenze, oder nur ausgeschaltete Erkennungen fanden ihn.",
    "A density is that of the findings whose centre lies where their class was searched for: what detections scanned "
    "within their masks, and what users declared complete. Densities and sizes leave rejected findings out.": "Eine "
    "Dichte ist die der Befunde, deren Mitte dort liegt, wo nach ihrer Klasse gesucht wurde: was Erkennungen innerhalb "
    "ihrer Masken absuchten und was für vollständig erklärt wurde. Dichten und Größen sind ohne verworfene Befunde.",
    "Intervals hold 95 %. Those of several slides allow for the spread between specimens, or between slides where no "
    "or one specimen is named (quasi-Poisson, t quantile); of one slide they are those of findings scattered at random "
    "(Poisson), and the spread between sections is unknown.": "Intervalle gelten zu 95 %. Die mehrerer Schliffe "
    "berücksichtigen die Streuung zwischen Proben, oder zwischen Schliffen, wo keine oder nur eine Probe genannt ist "
    "(Quasi-Poisson, t-Quantil); die eines Schliffs gelten für zufällig verteilte Befunde (Poisson), und die Streuung "
    "zwischen Schliffen ist unbekannt.",
    "Corrected numbers take findings that nobody judged for as true as a random sample of the same model, class "
    "and confidence. What models missed is in no number unless recall was estimated.": "Korrigierte Zahlen nehmen "
    "an, dass "
    "ungeprüfte Befunde so oft zutreffen wie eine Zufallsstichprobe desselben Modells, derselben Klasse und "
    "Konfidenz. Was Modelle "
    "übersahen, ist in keiner Zahl enthalten, außer die Trefferquote wurde geschätzt.",
    "Size is the longer side of the box in the section. Sizes in a section are not sizes in the volume.": "Größe ist "
    "die längere Seite des Rahmens im Schliff. Größen im Schliff sind nicht Größen im Volumen.",
    "An acceptance limit is passed when the upper one-sided 95 % bound lies below it, failed when the lower one lies "
    "above it, and undecided between.": "Ein Grenzwert ist eingehalten, wenn die obere einseitige 95-%-Schranke "
    "darunter liegt, überschritten, wenn die untere darüber liegt, und dazwischen offen.",
}

SENTENCES = (
    (r"counted: (.+)", "gezählt: {0}"),
    (r"(.+), rejected ones in maps and gallery", "{0}, verworfene in Lageplänen und Bildern"),
    (r"confidence ≥ ([\d.]+) or judged", "Konfidenz ≥ {0} oder geprüft"),
    (
        r"nothing was scanned or declared complete for (.+)",
        "für {0} wurde nichts abgesucht oder für vollständig erklärt",
    ),
    (r"(\d+) (?:is|are) too few for an interval", "{0} sind zu wenige für ein Intervall"),
    (r"Sizes of (.+)", "Größen von {0}"),
    (r"Where findings lie: (.+)", "Wo Befunde liegen: {0}"),
    (r"(.+), in squares of ([\d.]+) µm\.", "{0}, in Quadraten von {1} µm."),
    (
        r"(\d+) squares? with more than by chance \(outlined; (.+) of such squares at most are none\)\.",
        "{0} Quadrate mit mehr als nach Zufall (umrandet; höchstens {1} solcher Quadrate sind keine).",
    ),
    (
        r"([\d\s]+) findings? lie (in clusters|further apart than by chance|as by chance) \(p = ([\d.]+), (\d+) "
        r"patterns of chance\), at distances from ([\d.]+) to ([\d.]+) um in steps of ([\d.]+) um\.",
        "{0} Befunde liegen {1} (p = {2}, {3} Zufallsmuster), bei Abständen von {4} bis {5} µm in Schritten von "
        "{6} µm.",
    ),
    (r"in clusters", "gehäuft"),
    (r"further apart than by chance", "weiter auseinander als nach Zufall"),
    (r"as by chance", "wie nach Zufall"),
    (
        r"([\d\s]+) findings? in the searched area say nothing of distances: (\d+) are needed\.",
        "{0} Befunde in der abgesuchten Fläche sagen nichts über Abstände: {1} sind nötig.",
    ),
    (
        r"limits frozen by (.+), ([\d-]+): later points do not move them",
        "Grenzen festgelegt von {0}, {1}: spätere Punkte verschieben sie nicht",
    ),
    (
        r"(u chart|Laney's u' chart|Individuals and moving range|EWMA|Quality index \(nQI\)) of (.+) by (.+)",
        "{0}: {1} nach {2}",
    ),
    (r"density \(u', ([\d.]+) times the spread of chance\)", "Dichte (u', {0}-fache Streuung des Zufalls)"),
    (r"anomalous area by the score maps of (.+)", "auffällige Fläche nach den Wertekarten von {0}"),
    (r"Kept by (.+), ([\d-]+)\.", "Festgelegt von {0}, {1}."),
    (
        r"Models found (.+) \(95 %: (.+) to (.+)\) of ([\d\s]+) defects\.",
        "Modelle fanden {0} (95 %: {1} bis {2}) von {3} Fehlstellen.",
    ),
    (
        r"True are (.+) \(95 %: (.+) to (.+)\) of ([\d\s]+) judged findings of models\.",
        "Richtig sind {0} (95 %: {1} bis {2}) von {3} geprüften Befunden der Modelle.",
    ),
    (r"([\d\s]+) findings? of models (?:is|are) not judged yet\.", "{0} Befunde der Modelle sind noch nicht geprüft."),
    (
        r"not estimable: (\d+) unreviewed findings? (?:has|have) a confidence of ([\d.]+) to ([\d.]+), and (.+) such "
        r"(?:was|were) judged \((\d+) are needed\)",
        "nicht schätzbar: {0} ungeprüfte Befunde haben eine Konfidenz von {1} bis {2}, und {3} solche wurden geprüft "
        "({4} sind nötig)",
    ),
    (
        r"not estimable: (\d+) unreviewed findings? (?:has|have) a confidence of ([\d.]+) to ([\d.]+), and only "
        r"(\d+) such "
        r"(?:was|were) drawn at random \((\d+) are needed\)",
        "nicht schätzbar: {0} ungeprüfte Befunde haben eine Konfidenz von {1} bis {2}, und nur {3} solche wurden "
        "zufällig "
        "gezogen ({4} sind nötig)",
    ),
    (
        r"not estimable: (\d+) unreviewed findings? (?:has|have) a confidence of ([\d.]+) to ([\d.]+), and of (\d+) "
        r"such "
        r"that (?:was|were) judged none was drawn at random: reviews in worst-first order say nothing of what they did "
        r"not reach; draw a random sample",
        "nicht schätzbar: {0} ungeprüfte Befunde haben eine Konfidenz von {1} bis {2}, und von {3} geprüften solchen "
        "wurde "
        "keiner zufällig gezogen: wer die schlimmsten zuerst prüft, erfährt nichts über die nicht erreichten; eine "
        "Zufallsstichprobe ziehen",
    ),
    (
        r"not estimable: (\d+) unreviewed findings? with a confidence of ([\d.]+) to ([\d.]+) (?:lies|lie) on slides "
        r"of "
        r"which none was drawn at random; draw from all slides",
        "nicht schätzbar: {0} ungeprüfte Befunde mit einer Konfidenz von {1} bis {2} liegen auf Schliffen, von denen "
        "keiner zufällig gezogen wurde; aus allen Schliffen ziehen",
    ),
    (r"no", "keine"),
    (r"only (\d+)", "nur {0}"),
    (r"(\d+) findings? on ([\d.]+) mm2(.*): (.+)", "{0} Befunde auf {1} mm²{2}: {3}"),
    (r", (\d+) of them not reviewed", ", {0} davon nicht geprüft"),
    (r"below the limit with 95 % confidence", "mit 95 % Sicherheit unter dem Grenzwert"),
    (
        r"above the limit with 95 % confidence, by judged findings alone",
        "mit 95 % Sicherheit über dem Grenzwert, allein nach geprüften Befunden",
    ),
    (r"the limit lies between what is possible", "der Grenzwert liegt im Bereich des Möglichen"),
    (r"(\d+) beyond the limit (?:was|were) judged", "{0} jenseits des Grenzwerts wurden geprüft"),
    (r"(\d+) beyond the limit (?:is|are) not reviewed", "{0} jenseits des Grenzwerts sind nicht geprüft"),
    (r"(\d+) slides? not searched for it", "{0} Schliffe nicht danach abgesucht"),
)
"""Patterns of sentences with parts that differ, and what stands for them."""
