"""Files that somebody made to hurt the server."""

import io


def swelling_pdf(letters: int) -> bytes:
    """A small file whose font makes 120 emoji of each letter."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    many = "D83DDE00" * 120
    cmap = DecodedStreamObject()
    cmap.set_data(
        b"1 begincodespacerange <00> <FF> endcodespacerange\n1 beginbfchar\n<41> <" + many.encode() + b">\nendbfchar"
    )
    words = DecodedStreamObject()
    words.set_data(b"BT /F1 12 Tf 10 100 Td (" + b"A" * letters + b") Tj ET")
    writer = PdfWriter()
    page = writer.add_blank_page(width=300, height=300)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/ToUnicode"): writer._add_object(cmap.flate_encode()),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    page[NameObject("/Contents")] = writer._add_object(words.flate_encode())
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
