"""Files within a PDF (ISO 32000-1, 7.11.4), which reportlab's canvas does not know by itself."""

from reportlab.pdfbase.pdfdoc import (
    PDFArray,
    PDFDictionary,
    PDFName,
    PDFStream,
    PDFString,
    PDFZCompress,
)
from reportlab.pdfgen.canvas import Canvas


def attach(canvas: Canvas, name: str, content: bytes) -> None:
    """Attach a file under a name; readers list it beside the pages."""
    document = canvas._doc  # type: ignore[attr-defined]
    kept = PDFStream(
        PDFDictionary({"Type": PDFName("EmbeddedFile"), "Params": PDFDictionary({"Size": len(content)})}),
        content,
        [PDFZCompress],
    )
    file = PDFDictionary(
        {
            "Type": PDFName("Filespec"),
            "F": PDFString(name),
            "UF": PDFString(name),
            "EF": PDFDictionary({"F": document.Reference(kept)}),
            "AFRelationship": PDFName("Source"),
        }
    )
    files = PDFDictionary({"Names": PDFArray([PDFString(name), document.Reference(file)])})
    document.Catalog.Names = PDFDictionary({"EmbeddedFiles": files})
